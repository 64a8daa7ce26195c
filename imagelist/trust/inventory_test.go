package trust

import (
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
)

// TestAnchors_Problems: what `vouch trust ls` says of CRLs and policies that
// cannot be relied on.
func TestAnchors_Problems(t *testing.T) {
	w := newWorld(t)
	old := newRoot(t, w.ca.cert.RawSubject)
	lists := [][]byte{
		w.ca.crl(t, nil, w.user),
		old.crl(t, nil),
		w.ca.crl(t, crlExtension(true, []byte{2, 1, 1}, 2, 5, 29, 27)),
		withoutNextUpdate(t, w.ca, w.ca.crl(t, nil)),
		[]byte("rubbish"),
		w.ca.crl(t, func(l *x509.RevocationList) { l.Number = big.NewInt(8) }),
	}
	want := []string{"", errOtherKey.Error(), "a delta CRL", errNoNextUpdate.Error(), "neither PEM nor DER", ""}
	for n, der := range lists {
		w.put(file(w.ca, "r"+string(rune('0'+n))), der)
	}
	w.put(file(w.ca, "namespaces"), []byte("rubbish"))
	var ca Anchor
	for _, a := range w.load().Anchors() {
		if a.DN == OneLine(w.ca.cert.RawSubject) {
			ca = a
		}
	}
	if len(ca.CRLs) != len(want) || len(ca.Policies) != 2 {
		t.Fatalf("%+v", ca)
	}
	for i, c := range ca.CRLs {
		if c.Problem != want[i] {
			t.Errorf("%s: problem %q, want %q", c.File, c.Problem, want[i])
		}
	}
	if first := ca.CRLs[0]; first.Entries != 1 || first.Number != "7" || len(first.SHA256) != 64 {
		t.Errorf("%+v", first)
	}
	for _, p := range ca.Policies {
		if broken := strings.HasSuffix(p.File, "namespaces"); broken != (p.Problem != "") || broken != (p.Rules == 0) {
			t.Errorf("%+v", p)
		}
	}
}
