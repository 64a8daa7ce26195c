package smime

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// largeDocument has the size of a list of 10,000 images, about 12 MiB.
func largeDocument() []byte {
	var b strings.Builder
	b.WriteString("{\n \"hv:imagelist\": {\n  \"hv:images\": [\n")
	for i := range 10000 {
		fmt.Fprintf(&b, "   {\n    \"dc:identifier\": \"%032d\",\n", i)
		for key := range 18 {
			fmt.Fprintf(&b, "    \"hv:key%02d\": \"%s\",\n", key, strings.Repeat("x", 40))
		}
		b.WriteString("    \"hv:size\": 1\n   },\n")
	}
	b.WriteString("  ]\n }\n}\n")
	return []byte(b.String())
}

// BenchmarkOpen opens a message of a list of 10,000 images, and has openssl
// verify the same one.
func BenchmarkOpen(b *testing.B) {
	alice := people()["alice"]
	content := largeDocument()
	canonical, err := Sign(content, alice.cert, alice.key, nil, SignOptions{})
	if err != nil {
		b.Fatal(err)
	}
	opaque, err := Sign(content, alice.cert, alice.key, nil, SignOptions{Opaque: true})
	if err != nil {
		b.Fatal(err)
	}
	for name, message := range map[string][]byte{
		"CRLF":   canonical,
		"LF":     bytes.ReplaceAll(canonical, []byte("\r\n"), []byte("\n")),
		"opaque": opaque,
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(message)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Open(message, Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/openssl", func(b *testing.B) {
			file := filepath.Join(b.TempDir(), "message")
			if err := os.WriteFile(file, message, 0o600); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(message)))
			for b.Loop() {
				if err := exec.Command("openssl", "cms", "-verify", "-noverify", "-in", file, "-out", os.DevNull).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
