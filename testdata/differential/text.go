package differential

import (
	"bytes"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// carved is a message with its PKCS#7 taken out.
type carved struct {
	before, der, after []byte
	base64             bool
}

// base64Lines is a run of base64, as long as only structures are.
var base64Lines = regexp.MustCompile(`(?:[A-Za-z0-9+/=]{4,}\r*\n)+`)

// carve finds the structure of a message; false when it is not where OpenSSL
// and the cases put it.
func carve(message []byte) (c carved, ok bool) {
	if len(message) > 0 && message[0] == 0x30 {
		return carved{der: message}, true
	}
	for _, at := range base64Lines.FindAllIndex(message, -1) {
		text := message[at[0]:at[1]]
		if !bytes.HasPrefix(text, []byte("M")) || len(text) < 400 {
			continue
		}
		der, err := base64.StdEncoding.DecodeString(string(text))
		if err == nil {
			return carved{message[:at[0]], der, message[at[1]:], true}, true
		}
	}
	return c, false
}

// with is the message with another structure, in lines of a width.
func (c carved) with(der []byte, width int) []byte {
	if !c.base64 {
		return der
	}
	text := base64.StdEncoding.EncodeToString(der)
	var b bytes.Buffer
	b.Write(c.before)
	for len(text) > width {
		b.WriteString(text[:width] + "\n")
		text = text[width:]
	}
	b.WriteString(text + "\n")
	b.Write(c.after)
	return b.Bytes()
}

var (
	boundaryName = regexp.MustCompile(`boundary="?([^";\r\n]+)`)
	lineEnds     = regexp.MustCompile(`\r*\n`)
)

// part finds the signed part of a clear-signed message: from, to; false when
// there is none.
func part(message []byte) (from, to int, ok bool) {
	m := boundaryName.FindSubmatch(message)
	if m == nil {
		return 0, 0, false
	}
	marks := regexp.MustCompile(`(?m)^--`+regexp.QuoteMeta(string(m[1]))+`[ \t\r]*\n`).FindAllIndex(message, -1)
	if len(marks) < 2 {
		return 0, 0, false
	}
	from, to = marks[0][1], marks[1][0]
	to = from + len(bytes.TrimRight(bytes.TrimSuffix(message[from:to], []byte("\n")), "\r"))
	return from, to, true
}

// signedContent is what the signature of a clear-signed message covers.
func signedContent(message []byte) []byte {
	from, to, ok := part(message)
	if !ok {
		return nil
	}
	return lineEnds.ReplaceAll(message[from:to], []byte("\r\n"))
}

// A textChange bends the text of a message.
type textChange func(r *rand.Rand, text []byte) []byte

// textChanges are what is done to MIME.
var textChanges = []textChange{
	func(r *rand.Rand, text []byte) []byte { // all line ends
		ends := []string{"\n", "\r\n", "\r\n", "\r\r\n", "\n\n", "\r"}
		return lineEnds.ReplaceAll(text, []byte(ends[r.IntN(len(ends))]))
	},
	onLine(func(r *rand.Rand, line string) string {
		return strings.TrimRight(line, "\r\n") + []string{"\r\n", "\n", "\r\r\n", "", " \n", "\t\r\n", "\r"}[r.IntN(7)]
	}),
	onLine(func(_ *rand.Rand, line string) string { return line + line }),
	onLine(func(_ *rand.Rand, line string) string { return "" }),
	onLine(func(_ *rand.Rand, line string) string { return "\n" + line }),
	onLine(func(_ *rand.Rand, line string) string { return strings.ToUpper(line) }),
	onLine(func(r *rand.Rand, line string) string {
		return []string{" ", "\t", "--", "From ", "x", "\x00"}[r.IntN(6)] + line
	}),
	onLine(func(_ *rand.Rand, line string) string { return strings.Replace(line, "; ", ";\n\t", 1) }),
	onLine(func(_ *rand.Rand, line string) string { return strings.ReplaceAll(line, `"`, "") }),
	onHeader(func(r *rand.Rand, line string) string {
		values := []string{"multipart/signed", "multipart/mixed", "application/pkcs7-mime", "application/x-pkcs7-mime; smime-type=enveloped-data", "application/pkcs7-signature", "text/plain"}
		name, _, _ := strings.Cut(line, ":")
		return name + ": " + values[r.IntN(len(values))] + "\n"
	}),
	onHeader(func(r *rand.Rand, line string) string {
		words := []string{"sha-256", "sha1", "md5", "application/x-pkcs7-signature", "application/pkcs7-signature", "application/pgp-signature", "base64", "signed-data"}
		old := words[r.IntN(len(words))]
		return strings.ReplaceAll(line, old, words[r.IntN(len(words))])
	}),
	onHeader(func(r *rand.Rand, line string) string {
		more := []string{"X-Mail: yes\n", "Content-Type: text/plain\n", "content-transfer-encoding: base64\n", "Content-Transfer-Encoding: 8bit\n", "no field at all\n", "Subject: =?utf-8?q?x?=\n"}
		return line + more[r.IntN(len(more))]
	}),
	func(r *rand.Rand, text []byte) []byte { // around the parts
		m := boundaryName.FindSubmatch(text)
		if m == nil {
			return text
		}
		mark := "--" + string(m[1])
		more := []string{"text\n" + mark, mark + "x", mark + " ", mark + "--", mark + "\n\n{}\n" + mark, "\n" + mark, "This is an S/MIME signed message\n" + mark, " " + mark, mark + "\nContent-Type: text/plain\n"}
		var at [][]int
		if at = regexp.MustCompile(regexp.QuoteMeta(mark)).FindAllIndex(text, -1); len(at) == 0 {
			return text
		}
		i := at[r.IntN(len(at))]
		return []byte(string(text[:i[0]]) + more[r.IntN(len(more))] + string(text[i[1]:]))
	},
	func(r *rand.Rand, text []byte) []byte { // after the end
		return append(bytes.Clone(text), []string{"\n", "\r\n\r\n", " ", "text\n", "--\n", "\x00", "\x1a"}[r.IntN(7)]...)
	},
	func(r *rand.Rand, text []byte) []byte { // before the beginning
		return append([]byte([]string{"\n", " ", "From x\n", "Received: y\n", "\xef\xbb\xbf", "x"}[r.IntN(6)]), text...)
	},
	func(r *rand.Rand, text []byte) []byte { // other lines of base64
		if c, ok := carve(text); ok {
			widths := []int{4, 16, 60, 76, 500, 1000, 1024, 2048, 1 << 20, 63, 61}
			return c.with(c.der, widths[r.IntN(len(widths))])
		}
		return text
	},
	func(r *rand.Rand, text []byte) []byte { // another transport form
		c, ok := carve(text)
		if !ok {
			return text
		}
		switch r.IntN(4) {
		case 0:
			return c.der
		case 1:
			return pem.EncodeToMemory(&pem.Block{Type: []string{"PKCS7", "CMS", "PKCS #7 SIGNED DATA", "CERTIFICATE"}[r.IntN(4)], Bytes: c.der})
		}
		head := fmt.Sprintf("MIME-Version: 1.0\nContent-Type: application/%s; smime-type=signed-data\nContent-Transfer-Encoding: base64\n\n", []string{"pkcs7-mime", "x-pkcs7-mime"}[r.IntN(2)])
		return carved{before: []byte(head), base64: true}.with(c.der, 64)
	},
	func(r *rand.Rand, text []byte) []byte { // a bit
		text = bytes.Clone(text)
		if len(text) > 0 {
			text[r.IntN(len(text))] ^= 1 << r.IntN(8)
		}
		return text
	},
	func(r *rand.Rand, text []byte) []byte { // cut
		if r.IntN(4) > 0 || len(text) == 0 {
			return text
		}
		return text[:r.IntN(len(text))]
	},
}

func onLine(change func(r *rand.Rand, line string) string) textChange {
	return func(r *rand.Rand, text []byte) []byte {
		return changeLine(r, text, strings.Count(string(text), "\n"), change)
	}
}

// onHeader bends a line of the first header, or of the one of the signature.
func onHeader(change func(r *rand.Rand, line string) string) textChange {
	return func(r *rand.Rand, text []byte) []byte { return changeLine(r, text, 4, change) }
}

func changeLine(r *rand.Rand, text []byte, first int, change func(r *rand.Rand, line string) string) []byte {
	lines := strings.SplitAfter(string(text), "\n")
	i := r.IntN(min(len(lines), first+1))
	if at := strings.LastIndex(string(text), "Content-Type"); r.IntN(3) == 0 && at >= 0 {
		i = strings.Count(string(text[:at]), "\n") // where the header of the signature is
	}
	lines[i] = change(r, lines[i])
	return []byte(strings.Join(lines, ""))
}
