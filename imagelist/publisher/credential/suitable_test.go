package credential

import (
	"strings"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// TestSuitable: each reason why subscribers would not take a certificate has
// its own words, the subscriber's code, and a way out.
func TestSuitable(t *testing.T) {
	s := newShop(t)
	now := time.Now().Add(time.Hour) // the certificates are made below
	issued := func(name, section string, options ...string) string {
		s.put(name+".key", s.get("alice.key"), 0o600)
		s.issue(name, "/DC=org/DC=example/CN=alice", "sub", section, options...)
		return name
	}
	proxy := func(name, cn, section string) string {
		s.put(name+".key", s.get("sub.key"), 0o600)
		s.issue(name, "/DC=org/DC=example/CN=alice/CN="+cn, "alice", section)
		return name
	}
	s.user("p521", "ec", "P-521")
	s.user("short", "rsa", "1024")
	s.user("ed", "ed25519", "")
	s.user("p224", "ec", "P-224")
	s.openssl("req", "-x509", "-key", "alice.key", "-out", "self.pem", "-subj", "/CN=alice", "-days", "30", "-config", "/dev/null",
		"-addext", "keyUsage=digitalSignature", "-addext", "basicConstraints=CA:FALSE")
	for _, c := range []struct {
		cert       string
		at, until  time.Time
		code       verdict.Code
		want, hint string
	}{
		{"alice", now, now.AddDate(0, 0, 28), "", "", ""},
		{"p521", now, now.AddDate(0, 0, 28), "", "", ""},
		{"alice", now, time.Time{}, "", "", ""},
		{issued("plain", "none"), now, soon, "", "", ""},
		{proxy("rfc", "123", "proxy"), now, soon, verdict.ProxyCertificate, "is a proxy certificate", "usercert.pem"},
		{proxy("draft", "123", "oldproxy"), now, soon, verdict.ProxyCertificate, "is a proxy certificate", "usercert.pem"},
		{proxy("legacy", "limited proxy", "user"), now, soon, verdict.ProxyCertificate, "is a proxy certificate", "usercert.pem"},
		{"sub", now, soon, verdict.KeyUsage, "is a CA", "not with a CA's"},
		{"root", now, soon, verdict.KeyUsage, "is a CA", "not with a CA's"},
		{issued("server", "server"), now, soon, verdict.KeyUsage, "does not have emailProtection", "robot certificate"},
		{issued("encipher", "encipher"), now, soon, verdict.KeyUsage, "neither digitalSignature nor nonRepudiation", "robot certificate"},
		{"short", now, soon, verdict.WeakAlgorithm, "1024 bits, at least 2048", "2048 bits or more"},
		{"ed", now, soon, verdict.UnsupportedAlgorithm, "ed25519", "ECDSA key on P-256"},
		{"p224", now, soon, verdict.UnsupportedAlgorithm, "P-224", "ECDSA key on P-256"},
		{issued("sha1", "user", "-sha1"), now, soon, verdict.WeakAlgorithm, "signed with ECDSA-SHA1", "SHA-256 or better"},
		{"self", now, soon, verdict.Untrusted, "is self-signed", "IGTF"},
		{"alice", now.AddDate(-1, 0, 0), soon, verdict.CertNotYetValid, "is not valid before", "clock"},
		{"alice", now.AddDate(1, 0, 0), now.AddDate(1, 1, 0), verdict.CertExpired, "expired at", "renew"},
		{"alice", now, now.AddDate(1, 0, 0), "", "before the list at", "shorter lifetime"},
	} {
		cert, _, err := Certificate(s.path(c.cert + ".pem"))
		must(t, err)
		err = Suitable(cert, c.at, c.until)
		if c.want == "" {
			if err != nil {
				t.Errorf("%s: %v", c.cert, err)
			}
			continue
		}
		if err == nil || verdict.Of(err) != c.code || !strings.Contains(err.Error(), c.want) || !strings.Contains(hintOf(err), c.hint) {
			t.Errorf("%s: %v (code %q, hint %q), want %q (%q, %q)", c.cert, err, verdict.Of(err), hintOf(err), c.want, c.code, c.hint)
		}
	}
}
