package credential

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestPassphraseFile(t *testing.T) {
	s := &shop{t, t.TempDir()}
	for _, c := range []struct {
		content    string
		mode       os.FileMode
		want, fail string
	}{
		{secret, 0o600, secret, ""},
		{secret + "\nmore\n", 0o400, secret, ""},
		{secret + " \r\n", 0o600, secret + " ", ""},
		{strings.Repeat("x", maxPassphrase), 0o600, strings.Repeat("x", maxPassphrase), ""},
		{strings.Repeat("x", maxPassphrase+1), 0o600, "", "longer than 1024 bytes"},
		{"", 0o600, "", "no passphrase"},
		{"\n" + secret, 0o600, "", "no passphrase"},
		{secret, 0o640, "", "mode 0640: group or others"},
		{secret, 0o604, "", "mode 0604: group or others"},
	} {
		got, err := PassphraseFile(s.put("p", []byte(c.content), c.mode))("key")
		if string(got) != c.want || (err == nil) != (c.fail == "") {
			t.Errorf("%.20q, mode %o: %q, %v", c.content, c.mode, got, err)
		}
		if err != nil && (!strings.Contains(err.Error(), c.fail) || strings.Contains(err.Error(), secret)) {
			t.Errorf("%.20q: %v, want %q", c.content, err, c.fail)
		}
		must(t, os.Remove(s.path("p")))
	}
	if _, err := PassphraseFile(s.path("none"))("key"); err == nil {
		t.Error("a missing file is taken")
	}
}

// TestPassphraseFD: one line at a time, and the descriptor stays open.
func TestPassphraseFD(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	defer r.Close()
	_, err = w.WriteString("one\r\ntwo\n\nfour\n" + strings.Repeat("x", maxPassphrase+9) + "\n")
	must(t, err)
	must(t, w.Close())
	ask := PassphraseFD(int(r.Fd()))
	for _, c := range []struct{ want, fail string }{{"one", ""}, {"two", ""}, {"", "no passphrase"}, {"four", ""}, {"", "longer"}, {"xxxxxxx", ""}, {"", "no passphrase"}} {
		got, err := ask("key")
		if !bytes.Equal(got, []byte(c.want)) || (err == nil) != (c.fail == "") || err != nil && !strings.Contains(err.Error(), c.fail) {
			t.Errorf("%q, %v, want %q, %q", got, err, c.want, c.fail)
		}
	}
	if _, err := PassphraseFD(987)("key"); err == nil || !strings.Contains(err.Error(), "file descriptor 987: bad file descriptor") {
		t.Error(err)
	}
}
