package imagelist

import (
	"fmt"
	"math"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// fieldError says what is wrong with one key.
type fieldError struct {
	key    key // unknown: the object as a whole
	detail string
}

func (e *fieldError) Error() string { return e.key.String() + ": " + e.detail }

// reader takes typed values out of fields and remembers the first key that is
// not as it must be. What is wrong with a key that decides nothing goes to odd.
type reader struct {
	fields *fields
	path   string
	odd    *oddities
	err    *fieldError
	draft  bool // what is required may be absent
}

func (r *reader) fail(k key, format string, args ...any) {
	if r.err == nil {
		r.err = &fieldError{key: k, detail: fmt.Sprintf(format, args...)}
	}
}

// present asks for a key whatever its type.
func (r *reader) present(k key) {
	if r.fields[k].kind == 0 && !r.draft {
		r.fail(k, missing)
	}
}

// required is the text of a string that must be there and say something. A
// value of any of the other kinds is not text.
func (r *reader) required(k key, other ...jsontext.Kind) string {
	v := r.fields[k]
	switch {
	case r.draft && (v.kind == 0 || v.kind == 'n' || v.kind == '"' && v.text == ""):
	case v.kind == 0 || v.kind == 'n':
		r.fail(k, missing)
	case v.kind != '"' && !(len(other) > 0 && v.kind == other[0]):
		r.fail(k, "not a string")
	case v.text == "":
		r.fail(k, "empty")
	default:
		return v.text
	}
	return ""
}

// optional is the text of a string or number, and "" when there is neither.
func (r *reader) optional(k key) string {
	switch v := r.fields[k]; v.kind {
	case '"', '0':
		return v.text
	case 0, 'n':
	default:
		r.odd.note(r.path, k, "not text: ignored")
	}
	return ""
}

// recommended is optional, and remarked upon when absent.
func (r *reader) recommended(k key) string {
	if kind := r.fields[k].kind; kind == 0 || kind == 'n' {
		r.odd.note(r.path, k, missing)
	}
	return r.optional(k)
}

func (r *reader) identifier() string {
	id := r.required(keyIdentifier)
	if id != "" && !SafeIdentifier(id) {
		r.fail(keyIdentifier, "not usable as a file name: %q", clip(id))
		return ""
	}
	return id
}

// version keeps the text of a number as it stands: 1.10 is not 1.1.
func (r *reader) version() string { return r.required(keyVersion, '0') }

func (r *reader) date(k key) time.Time {
	text := r.required(k)
	if text == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || !rfc3339.MatchString(text) {
		r.fail(k, "not an RFC 3339 date: %q", clip(text))
		return time.Time{}
	}
	return t.UTC()
}

// rfc3339 is the form that time.Parse only approximates: it takes one-digit
// hours, decimal commas and offsets of 99 hours.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// dateIfAny is the zero time when the key is absent, null or empty.
func (r *reader) dateIfAny(k key) time.Time {
	switch v := r.fields[k]; {
	case v.kind == 0, v.kind == 'n', v.kind == '"' && v.text == "":
		return time.Time{}
	}
	return r.date(k)
}

func (r *reader) digest() Digest {
	text := r.required(keySHA512)
	if text == "" {
		return Digest{}
	}
	d, err := ParseDigest(text)
	if err != nil {
		r.fail(keySHA512, "%s", err)
		return Digest{}
	}
	return d
}

// size reads ^(0|[1-9][0-9]{0,18})$ up to 2^63-1, as integer or string (T-43).
func (r *reader) size() int64 {
	text := r.required(keySize, '0')
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > math.MaxInt64 || strconv.FormatUint(n, 10) != text {
		r.fail(keySize, "not a size in bytes: %q", clip(text))
		return 0
	}
	return int64(n)
}

// uri reads an http or https address. No detail quotes it: it may hold a
// password (T-29).
func (r *reader) uri() string {
	text := r.required(keyURI)
	if text == "" {
		return ""
	}
	if problem := uriProblem(text); problem != "" {
		r.fail(keyURI, "%s", problem)
		return ""
	}
	return text
}

// uriProblem says what keeps text from being an address that may be fetched,
// or "".
func uriProblem(text string) string {
	if strings.ContainsFunc(text, unicode.IsControl) {
		return "control character in it"
	}
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return "not a URI"
	case u.Scheme != "http" && u.Scheme != "https":
		return "neither http nor https"
	case u.Hostname() == "":
		return "no host"
	case u.User != nil:
		return "user information in it"
	}
	return ""
}

// SafeIdentifier says whether s may be used as a file name (contract §3):
// [A-Za-z0-9][A-Za-z0-9._-]{0,127}, and not "templates".
func SafeIdentifier(s string) bool {
	if s == "" || len(s) > 128 || s == "templates" || strings.IndexByte("._-", s[0]) >= 0 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// mixedScript says whether a name mixes scripts whose letters look alike
// (T-45). It warns people; nothing is decided by it.
func mixedScript(name string) bool {
	var latin, other bool
	for _, c := range name {
		latin = latin || unicode.Is(unicode.Latin, c)
		other = other || unicode.In(c, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Cherokee)
	}
	return latin && other
}

// clip shortens hostile text for a message.
func clip(s string) string {
	const most = 80
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
