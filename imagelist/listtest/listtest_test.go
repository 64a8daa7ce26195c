package listtest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
	"vouch/imagelist/trust"
)

// OpenSSL is the second opinion on what this package makes.
func TestWorld_OpenSSLAgrees(t *testing.T) {
	w := listtest.New(t)
	path := filepath.Join(t.TempDir(), "list.smime")
	for name, test := range map[string]struct {
		change listtest.Change
		ok     bool
	}{
		"good":       {listtest.SignedBy(w.Alice), true},
		"good, P256": {listtest.SignedBy(w.Bob), true},
		"opaque":     {listtest.Opaque(), true},
		"tampered":   {listtest.Tampered(), false},
		"rogue":      {listtest.Rogue(), false},
		"revoked":    {listtest.SignerRevoked(), false},
		"expired":    {listtest.SignerExpired(), false},
		"no CRL":     {listtest.NoCRLForSigner(), false},
		"stale CRL":  {listtest.StaleCRLForSigner(), false},
		"TLS only":   {listtest.ForTLSOnly(), false},
		"proxy":      {listtest.SignedByProxy(), false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, w.Message(test.change), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command("openssl", "smime", "-verify", "-in", path, "-CApath", w.Dir, "-crl_check", "-out", os.DevNull).CombinedOutput()
			if (err == nil) != test.ok {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestBuilder(t *testing.T) {
	at := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	b := listtest.NewList(at).Endorsers(imagelist.Endorser{DN: "/CN=A", CA: "/CN=B"}).
		Image("a", []byte("abc"), "http://h/a").ImageSet("hv:format", nil).
		Image("b", nil, "http://h/b").ImageSet("hv:version", 2).
		Entry("not an image").Version("2").Title("x").Set("x:y", 1)
	l, err := imagelist.Decode(b.Bytes(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(l.Images) != 2 || l.Images[0].Size != 3 || l.Images[0].Format != "" || l.Images[1].Version != "2" ||
		len(l.Refused) != 1 || l.Version != "2" || l.Title != "x" || string(l.Extra) != `{"x:y":1}` || !l.Created.Equal(at.Add(-time.Hour)) {
		t.Errorf("have %+v", l)
	}
	if l, err := imagelist.Decode(b.NoImages().Bytes(t)); err != nil || len(l.Images) != 0 {
		t.Errorf("%v: images %v", err, l)
	}
	if _, err := imagelist.Decode(b.Remove("hv:version").Bytes(t)); err == nil {
		t.Error("a list without version")
	}
}

func TestCA_Files(t *testing.T) {
	dir := t.TempDir()
	ca := listtest.NewCA(t, "Files CA")
	ca.WriteTo(dir)
	for _, hash := range []string{trust.Hash(ca.Cert.RawSubject), trust.HashOld(ca.Cert.RawSubject)} {
		for _, suffix := range []string{".0", ".r0", ".signing_policy", ".namespaces"} {
			if _, err := os.Stat(filepath.Join(dir, hash+suffix)); err != nil {
				t.Error(err)
			}
		}
	}
	ca.WriteTo(dir, listtest.NoCRL(), listtest.NoPolicy())
	if left, _ := filepath.Glob(filepath.Join(dir, "*.[rns]*")); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	ca.RemoveFrom(dir)
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left %v", left)
	}
}

func TestNames(t *testing.T) {
	ca := listtest.NewCA(t, "Names CA")
	for _, dn := range []string{"/DC=org/DC=example/OU=people/CN=Alice", "/C=XX/O=Org/CN=host/ce.example.org", "/DC=org/CN=x/Y=z/CN=1"} {
		if have := ca.Issue("x", listtest.Subject(dn)).DN(); have != dn {
			t.Errorf("have %q, want %q", have, dn)
		}
	}
	if ca.DN() != "/DC=org/DC=example/CN=Names CA" || ca.Issue("Bob").IssuerDN() != ca.DN() {
		t.Errorf("CA is %q", ca.DN())
	}
}
