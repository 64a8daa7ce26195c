package fetch

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"vouch/imagelist/verdict"
)

// resume is the header that asks for what comes after offset. If-Range makes
// a server that has other bytes now send all of them (RFC 9110 §13.1.5).
func resume(offset int64, held string) http.Header {
	h := http.Header{}
	if offset == 0 {
		return h
	}
	h.Set("Range", fmt.Sprintf("bytes=%d-", offset))
	if strongETag(held) || isDate(held) {
		h.Set("If-Range", held)
	}
	return h
}

// continues checks that a 206 carries on at offset, in bytes of the same
// version and length.
func continues(a answer, offset, size int64, held string) error {
	text := a.Header.Get("Content-Range")
	first, last, total, ok := contentRange(text)
	if !ok || first != offset {
		return errorFrom(a, errStartOver, fmt.Sprintf("Content-Range %q does not start at %d", text, offset))
	}
	if now := a.Header.Get("ETag"); strongETag(held) && now != "" && now != held {
		return errorFrom(a, errStartOver, "the validator changed within a range")
	}
	if now := a.Header.Get("Last-Modified"); isDate(held) && now != "" && now != held {
		return errorFrom(a, errStartOver, "the validator changed within a range")
	}
	if total != size || last != size-1 {
		return a.from.fail(verdict.SizeMismatch, fmt.Sprintf("Content-Range %q does not end %d bytes", text, size))
	}
	return nil
}

// contentRange reads "bytes first-last/total"; an unknown total is not enough
// here.
func contentRange(text string) (first, last, total int64, ok bool) {
	text, bytes := strings.CutPrefix(text, "bytes ")
	span, all, slash := strings.Cut(text, "/")
	from, to, dash := strings.Cut(span, "-")
	var errs [3]error
	first, errs[0] = strconv.ParseInt(from, 10, 64)
	last, errs[1] = strconv.ParseInt(to, 10, 64)
	total, errs[2] = strconv.ParseInt(all, 10, 64)
	return first, last, total, bytes && slash && dash && errs == [3]error{}
}

func errorFrom(a answer, cause error, detail string) *Error {
	e := a.from.fail(verdict.Fetch, detail)
	e.Err = cause
	return e
}

// validator is what held bytes can be resumed under: a strong ETag, else a
// Last-Modified that the same server's Date shows to be strong (RFC 9110
// §8.8.2.2), else "".
func validator(h http.Header) string {
	if e := h.Get("ETag"); strongETag(e) {
		return e
	}
	text := h.Get("Last-Modified")
	modified, err := http.ParseTime(text)
	if err != nil {
		return ""
	}
	sent, err := http.ParseTime(h.Get("Date"))
	if err != nil || sent.Sub(modified) < time.Second {
		return ""
	}
	return storable(text)
}

func strongETag(v string) bool {
	return len(v) >= 2 && v[0] == '"' && strings.IndexByte(v[1:], '"') == len(v)-2 && storable(v) != ""
}

func isDate(v string) bool {
	_, err := http.ParseTime(v)
	return err == nil
}
