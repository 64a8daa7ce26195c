package smime

import "bytes"

// Canonical returns content in the canonical text form that is hashed (RFC
// 8551 §3.1.1): every line end, LF or any number of CR before an LF, becomes
// one CRLF. A CR elsewhere stays. Content that is canonical already is
// returned itself, not copied.
func Canonical(content []byte) []byte {
	from := firstBareLine(content)
	if from < 0 {
		return content
	}
	rest := content[from:]
	out := make([]byte, from, len(content)+bytes.Count(rest, []byte{'\n'}))
	copy(out, content)
	for {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return append(out, rest...)
		}
		out = append(out, bytes.TrimRight(rest[:end], "\r")...)
		out = append(out, '\r', '\n')
		rest = rest[end+1:]
	}
}

// firstBareLine is where the first line begins that does not end in exactly
// one CR and LF, or -1.
func firstBareLine(content []byte) int {
	for at := 0; ; {
		n := bytes.IndexByte(content[at:], '\n')
		if n < 0 {
			return -1
		}
		line := content[at : at+n]
		if !bytes.HasSuffix(line, []byte{'\r'}) || bytes.HasSuffix(line, []byte("\r\r")) {
			return at
		}
		at += n + 1
	}
}
