package trust

import (
	"regexp"
	"slices"
	"strings"
)

// style is one way in which tools have written a distinguished name.
type style struct {
	plus    bool // later attributes of a multi-valued RDN are joined by '+', not '/'
	escape  bool // '/' and '+' in values get a backslash
	decoded bool // values are UTF-8 text, not bytes with \xHH
	email   string
	uid     string
}

// The four forms of text in circulation, oldest first.
var forms = []style{
	{}, // X509_NAME_oneline of OpenSSL up to 1.1: most archived lists
	{plus: true, escape: true},
	{decoded: true},
	{decoded: true, plus: true}, // canl, jglobus
}

// The labels one attribute is known by. The first is today's.
var (
	emailLabels = []string{"emailAddress", "Email", "E"}
	uidLabels   = []string{"UID", "USERID"}
)

// labels are the OpenSSL short names of the attribute types found in names.
// An attribute that is not here is written as its dotted number.
var labels = map[string]string{
	"2.5.4.3": "CN", "2.5.4.4": "SN", "2.5.4.5": "serialNumber", "2.5.4.6": "C",
	"2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.9": "street", "2.5.4.10": "O",
	"2.5.4.11": "OU", "2.5.4.12": "title", "2.5.4.13": "description",
	"2.5.4.15": "businessCategory", "2.5.4.16": "postalAddress",
	"2.5.4.17": "postalCode", "2.5.4.18": "postOfficeBox",
	"2.5.4.20": "telephoneNumber", "2.5.4.41": "name", "2.5.4.42": "GN",
	"2.5.4.43": "initials", "2.5.4.44": "generationQualifier",
	"2.5.4.45": "x500UniqueIdentifier", "2.5.4.46": "dnQualifier",
	"2.5.4.65": "pseudonym", "2.5.4.72": "role", "2.5.4.97": "organizationIdentifier",
	"0.9.2342.19200300.100.1.1": "UID", "0.9.2342.19200300.100.1.3": "mail",
	"0.9.2342.19200300.100.1.25": "DC",
	"1.2.840.113549.1.9.1":       "emailAddress", "1.2.840.113549.1.9.2": "unstructuredName",
	"1.2.840.113549.1.9.8":     "unstructuredAddress",
	"1.3.6.1.4.1.311.60.2.1.1": "jurisdictionL", "1.3.6.1.4.1.311.60.2.1.2": "jurisdictionST",
	"1.3.6.1.4.1.311.60.2.1.3": "jurisdictionC",
}

// OneLine renders the DER of a name as X509_NAME_oneline of OpenSSL up to 1.1
// did: '/' before every attribute, no escaping, bytes outside of printable
// ASCII as \xHH. It is "" for what is not a name.
//
// The text is for people and for comparison with other text; two names may
// share it (see Ambiguous), so nothing is decided by taking it apart.
func OneLine(rawName []byte) string {
	n, ok := parseName(rawName)
	if !ok {
		return ""
	}
	return n.render(forms[0])
}

// Renderings are the texts by which the name is known: the form of OneLine
// first, then OpenSSL 3's escaped form, and UTF-8 text with multi-valued RDNs
// joined by '/' and by '+'; each also with the old labels of emailAddress
// (Email, E) and UID (USERID). It is nil for what is not a name.
func Renderings(rawName []byte) []string {
	n, ok := parseName(rawName)
	if !ok {
		return nil
	}
	return n.renderings(forms)
}

// Matches reports whether text is one of the name's renderings, exactly.
func Matches(rawName []byte, text string) bool {
	return text != "" && slices.Contains(Renderings(rawName), text)
}

// What a value may contain that another name would be rendered as: the start
// of a further attribute, or the escape of a byte.
var lookalike = regexp.MustCompile(`/[A-Za-z0-9.-]+=|\\x[0-9A-F]{2}`)

// Ambiguous reports whether OneLine gives a text that a name of another
// structure has too, because a value contains '/' and something like "CN=", or
// a literal \xHH. Service names such as CN=host/ce.example.org are not
// ambiguous. What is not a name is.
func Ambiguous(rawName []byte) bool {
	n, ok := parseName(rawName)
	return !ok || n.ambiguous()
}

func (n name) ambiguous() bool {
	for _, r := range n {
		for _, a := range r {
			if lookalike.Match(a.value) {
				return true
			}
			if s, ok := a.text(); ok && lookalike.MatchString(s) {
				return true
			}
		}
	}
	return false
}

// renderings gives the name in each of the styles and under each label, every
// text once.
func (n name) renderings(styles []style) []string {
	emails, uids := emailLabels[:1], uidLabels[:1]
	if n.has(emailLabels[0]) {
		emails = emailLabels
	}
	if n.has(uidLabels[0]) {
		uids = uidLabels
	}
	var all []string
	for _, email := range emails {
		for _, uid := range uids {
			for _, s := range styles {
				s.email, s.uid = email, uid
				if text := n.render(s); !slices.Contains(all, text) {
					all = append(all, text)
				}
			}
		}
	}
	return all
}

func (n name) has(label string) bool {
	for _, r := range n {
		for _, a := range r {
			if labels[a.oid] == label {
				return true
			}
		}
	}
	return false
}

func (n name) render(s style) string {
	var b strings.Builder
	for _, r := range n {
		for i, a := range r {
			if i > 0 && s.plus {
				b.WriteByte('+')
			} else {
				b.WriteByte('/')
			}
			b.WriteString(s.label(a.oid))
			b.WriteByte('=')
			s.write(&b, a)
		}
	}
	return b.String()
}

func (s style) label(oid string) string {
	label, known := labels[oid]
	switch {
	case !known:
		return oid
	case label == emailLabels[0] && s.email != "":
		return s.email
	case label == uidLabels[0] && s.uid != "":
		return s.uid
	}
	return label
}

func (s style) write(b *strings.Builder, a ava) {
	if s.decoded {
		if text, ok := a.text(); ok {
			b.WriteString(text)
			return
		}
	}
	const digits = "0123456789ABCDEF"
	for _, c := range a.value {
		switch {
		case c < ' ' || c > '~':
			b.WriteString(`\x`)
			b.WriteByte(digits[c>>4])
			b.WriteByte(digits[c&15])
		case s.escape && (c == '/' || c == '+'):
			b.WriteByte('\\')
			b.WriteByte(c)
		default:
			b.WriteByte(c)
		}
	}
}
