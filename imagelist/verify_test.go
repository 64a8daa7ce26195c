package imagelist_test

import (
	"bytes"
	"crypto/sha512"
	"fmt"
	"strings"
	"testing"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
)

func TestVerify(t *testing.T) {
	w := listtest.New(t)
	for name, change := range map[string]listtest.Change{"clear-signed": func(*listtest.Message) {}, "opaque": listtest.Opaque()} {
		t.Run(name, func(t *testing.T) {
			raw := w.Message(change)
			v, told := imagelist.Examine(raw, w.Anchors(), w.At, w.Question())
			if told.Rejection != nil {
				t.Fatalf("%v\n%+v", told.Rejection, told.Checks)
			}
			signed, err := smime.Open(raw, smime.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if v.Message() != sha512.Sum512(raw) || v.Payload() != sha512.Sum512(signed.Content) {
				t.Error("the digests are not those of the message and its content")
			}
			if v.List().Identifier != listtest.ListID || len(v.List().Images) != 1 || !v.At().Equal(w.At) {
				t.Errorf("list %+v at %s", v.List(), v.At())
			}
			s := v.Signer()
			if s != *told.Signer || s.DN != "/DC=org/DC=example/OU=people/CN=Alice" || s.CA != "/DC=org/DC=example/CN=Example CA" ||
				!s.NotAfter.Equal(w.Alice.Cert.NotAfter) || len(s.SHA256) != 64 || len(s.Key) != 64 {
				t.Errorf("signer %+v", s)
			}
			if v.Trust() == nil || v.Trust() != told.Trust || len(v.Trust().Chain) != 2 {
				t.Errorf("trust %+v", v.Trust())
			}
			for _, check := range told.Checks {
				if !check.OK || check.Name == "" || check.Detail == "" {
					t.Errorf("check %+v", check)
				}
			}
		})
	}
}

// T-01: each condition removed alone has its own code, and nothing but a
// Rejection comes back. The fourth gate is Current's.
func TestT01_EachConditionAlone(t *testing.T) {
	w := listtest.New(t)
	anchors := w.Anchors()
	for code, change := range listtest.Refusals {
		t.Run(string(code), func(t *testing.T) {
			raw := w.Message(change())
			v, told := imagelist.Examine(raw, anchors, w.At, w.Question())
			if code == verdict.CreatedInFuture || code == verdict.ListExpired {
				if told.Rejection != nil {
					t.Fatal(told.Rejection)
				}
				if err := v.List().Current(w.At); verdict.Of(err) != code {
					t.Errorf("have %v", err)
				}
				return
			}
			if v != nil || told.Rejection == nil || told.Rejection.Code != code {
				t.Fatalf("verified %v, rejection %v\n%+v", v != nil, told.Rejection, told.Checks)
			}
			v, err := imagelist.Verify(raw, anchors, w.At, w.Question())
			if v != nil || verdict.Of(err) != code {
				t.Errorf("Verify differs: %v", err)
			}
			checkReason(t, told)
		})
	}
}

// checkReason asserts that the last check, and only it, is the reason.
func checkReason(t *testing.T, told *imagelist.Explanation) {
	t.Helper()
	if told.Rejection.Detail == "" {
		t.Error("no detail")
	}
	for i, check := range told.Checks {
		if last := i == len(told.Checks)-1; check.OK == last {
			t.Errorf("check %d of %d: %+v", i+1, len(told.Checks), check)
		}
	}
}

// T-08: the same name is not the same endorser.
func TestT08_WrongSigner(t *testing.T) {
	w := listtest.New(t)
	other := listtest.NewCA(t, "Other CA")
	other.WriteTo(w.Dir)
	named := func(who *listtest.Identity) listtest.Change {
		return func(m *listtest.Message) { m.Signer = who; m.List.Endorsers(w.Alice.Endorser()) }
	}
	self := listtest.NewCA(t, "Self", listtest.Subject(w.Alice.DN()), listtest.Usage(1))
	for name, test := range map[string]struct {
		change listtest.Change
		code   verdict.Code
	}{
		"other subject, same CA":                    {listtest.Unauthorised(), verdict.NotAuthorised},
		"other subject that names Alice":            {named(w.Bob), verdict.EndorserMismatch},
		"same subject, other CA":                    {listtest.SignedBy(other.Issue("Alice")), verdict.NotAuthorised},
		"same subject, other CA, names Alice's own": {named(other.Issue("Alice")), verdict.EndorserMismatch},
		"same subject, self-signed":                 {named(&self.Identity), verdict.Untrusted},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := w.Verify(w.Message(test.change)); verdict.Of(err) != test.code {
				t.Errorf("want %s, have %v", test.code, err)
			}
		})
	}
}

func TestVerify_SeveralEndorsers(t *testing.T) {
	w := listtest.New(t)
	raw := w.Message(listtest.List(func(b *listtest.Builder) { b.Endorsers(w.Bob.Endorser(), w.Alice.Endorser()) }))
	if _, err := w.Verify(raw); err != nil {
		t.Error(err)
	}
	// DN of the one and CA of the other are nobody.
	crossed := []imagelist.Endorser{{DN: w.Alice.DN(), CA: w.Rogue.DN()}, {DN: w.Bob.DN(), CA: w.CA.DN()}}
	raw = w.Message(listtest.List(func(b *listtest.Builder) { b.Endorsers(crossed...) }))
	if _, err := w.Verify(raw); verdict.Of(err) != verdict.EndorserMismatch {
		t.Errorf("crossed: %v", err)
	}
}

func TestVerify_Authorised(t *testing.T) {
	w := listtest.New(t)
	raw := w.Message()
	v, err := w.Verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	alice, bob := w.Alice.Authorised(), w.Bob.Authorised()
	pinned, mispinned := alice, alice
	pinned.Pin, mispinned.Pin = v.Signer().Key, strings.Repeat("0", 64)
	certificate := alice
	certificate.Pin = v.Signer().SHA256
	for name, test := range map[string]struct {
		authorised []imagelist.Authorised
		code       verdict.Code
		detail     string
	}{
		"one of several":             {[]imagelist.Authorised{bob, alice}, "", "by name"},
		"pinned":                     {[]imagelist.Authorised{pinned}, "", "by name and key"},
		"another key pinned":         {[]imagelist.Authorised{mispinned}, verdict.NotAuthorised, "pinned"},
		"certificate is not the key": {[]imagelist.Authorised{certificate}, verdict.NotAuthorised, "pinned"},
		"old pin beside new":         {[]imagelist.Authorised{mispinned, pinned}, "", "by name and key"},
		"nobody":                     {[]imagelist.Authorised{}, verdict.NotAuthorised, "among the 0"},
		"only the DN":                {[]imagelist.Authorised{{DN: alice.DN}}, verdict.NotAuthorised, "among the 1"},
		"not asked":                  {nil, "", "not asked"},
	} {
		t.Run(name, func(t *testing.T) {
			q := w.Question()
			q.Authorised = test.authorised
			v, told := imagelist.Examine(raw, w.Anchors(), w.At, q)
			last := told.Checks[len(told.Checks)-1]
			if verdict.Of(rejected(told)) != test.code || (v == nil) != (test.code != "") {
				t.Errorf("have %v", told.Rejection)
			}
			if last.Name != "authorised" || !strings.Contains(last.Detail, test.detail) {
				t.Errorf("last check %+v", last)
			}
		})
	}
}

func rejected(told *imagelist.Explanation) error {
	if told.Rejection == nil {
		return nil
	}
	return told.Rejection
}

// A renewed certificate is the same endorser; with a new key it is not the pinned one.
func TestVerify_Renewed(t *testing.T) {
	w := listtest.New(t)
	v, err := w.Verify(w.Message())
	if err != nil {
		t.Fatal(err)
	}
	q := w.Question()
	q.Authorised[0].Pin = v.Signer().Key
	same := w.Message(listtest.SignedBy(w.CA.Issue("Alice", listtest.RSA())))
	if _, err := imagelist.Verify(same, w.Anchors(), w.At, q); err != nil {
		t.Errorf("same key: %v", err)
	}
	rekeyed := w.Message(listtest.SignedBy(w.CA.Issue("Alice", listtest.RSA(), listtest.NewKey())))
	if _, err := imagelist.Verify(rekeyed, w.Anchors(), w.At, q); verdict.Of(err) != verdict.NotAuthorised {
		t.Errorf("new key: %v", err)
	}
	if _, err := w.Verify(rekeyed); err != nil {
		t.Errorf("new key, no pin: %v", err)
	}
}

// A name whose text is also another name's may speak only with its key pinned.
func TestVerify_AmbiguousNameNeedsPin(t *testing.T) {
	w := listtest.New(t)
	eve := w.CA.Issue("x/Y=z", listtest.Subject("/DC=org/DC=example/CN=x/Y=z"))
	q := imagelist.Question{Authorised: []imagelist.Authorised{eve.Authorised()}}
	raw := w.Message(listtest.SignedBy(eve))
	if _, err := imagelist.Verify(raw, w.Anchors(), w.At, q); verdict.Of(err) != verdict.NotAuthorised {
		t.Fatalf("without a pin: %v", err)
	}
	v, err := imagelist.Verify(raw, w.Anchors(), w.At, imagelist.Question{})
	if err != nil {
		t.Fatal(err)
	}
	q.Authorised[0].Pin = v.Signer().Key
	if _, err := imagelist.Verify(raw, w.Anchors(), w.At, q); err != nil {
		t.Errorf("with a pin: %v", err)
	}
	host := w.CA.Issue("host", listtest.Subject("/DC=org/DC=example/CN=host/ce.example.org"))
	q.Authorised = []imagelist.Authorised{host.Authorised()}
	if _, err := imagelist.Verify(w.Message(listtest.SignedBy(host)), w.Anchors(), w.At, q); err != nil {
		t.Errorf("service name: %v", err)
	}
}

// The same bytes are judged anew at each instant and against each snapshot.
func TestVerify_AgainLater(t *testing.T) {
	w := listtest.New(t)
	raw := w.Message()
	anchors := w.Anchors()
	if _, err := imagelist.Verify(raw, anchors, w.At.AddDate(2, 0, 0), w.Question()); verdict.Of(err) != verdict.CertExpired {
		t.Errorf("after notAfter: %v", err)
	}
	w.CA.Revoke(w.Alice)
	w.CA.WriteTo(w.Dir)
	if _, err := imagelist.Verify(raw, anchors, w.At, w.Question()); err != nil {
		t.Errorf("a snapshot changed: %v", err)
	}
	if _, err := w.Verify(raw); verdict.Of(err) != verdict.Revoked {
		t.Errorf("after the revocation: %v", err)
	}
}

// The first gate that fails is the reason, however much else is wrong.
func TestVerify_GatesInOrder(t *testing.T) {
	w := listtest.New(t)
	changes := []listtest.Change{listtest.Unauthorised(), listtest.NamesSomebodyElse(), listtest.DuplicateKey(), listtest.SignerRevoked(), listtest.Tampered(), listtest.NotSigned()}
	codes := []verdict.Code{verdict.NotAuthorised, verdict.EndorserMismatch, verdict.MalformedList, verdict.Revoked, verdict.Signature, verdict.NotSigned}
	for i, code := range codes {
		raw := w.Message(changes[:i+1]...)
		if _, err := w.Verify(raw); verdict.Of(err) != code {
			t.Errorf("with %d things wrong: want %s, have %v", i+1, code, err)
		}
	}
}

func TestVerify_Weakened(t *testing.T) {
	w := listtest.New(t)
	for name, test := range map[string]struct {
		change listtest.Change
		weaken func(*imagelist.Question)
	}{
		"allow_sha1":             {listtest.SHA1(), func(q *imagelist.Question) { q.Envelope.AllowSHA1 = true }},
		"purpose: any":           {listtest.ForTLSOnly(), func(q *imagelist.Question) { q.Trust.AnyPurpose = true }},
		"crl: if-present":        {listtest.NoCRLForSigner(), func(q *imagelist.Question) { q.Trust.CRL = trust.IfPresent }},
		"crl: ignore":            {listtest.SignerRevoked(), func(q *imagelist.Question) { q.Trust.CRL = trust.Ignore }},
		"crl_grace":              {listtest.StaleCRLForSigner(), func(q *imagelist.Question) { q.Trust.CRLGrace = 72 * time.Hour }},
		"signing_policy: ignore": {listtest.OutOfNamespace(), func(q *imagelist.Question) { q.Trust.SigningPolicy = trust.Ignore }},
	} {
		t.Run(name, func(t *testing.T) {
			var q imagelist.Question
			test.weaken(&q)
			if _, err := imagelist.Verify(w.Message(test.change), w.Anchors(), w.At, q); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestExpiry(t *testing.T) {
	at := time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)
	l := &imagelist.List{Created: at, Expires: at.Add(time.Hour)}
	for offset, code := range map[time.Duration]verdict.Code{
		-5*time.Minute - 1: verdict.CreatedInFuture, -5 * time.Minute: "", 0: "", time.Hour - 1: "", time.Hour: verdict.ListExpired,
	} {
		now := at.Add(offset)
		if have := verdict.Of(l.Current(now)); have != code {
			t.Errorf("at %s: %q, want %q", offset, have, code)
		}
		if l.ExpiredAt(now) != (code == verdict.ListExpired) || l.CreatedInFuture(now) != (code == verdict.CreatedInFuture) {
			t.Errorf("at %s: predicates differ", offset)
		}
	}
	image := &imagelist.Image{}
	if image.ExpiredAt(at) {
		t.Error("an image without expiry expired")
	}
	image.Expires = at
	if image.ExpiredAt(at.Add(-1)) || !image.ExpiredAt(at) {
		t.Error("an image does not expire at its instant")
	}
}

func TestVerified_Until(t *testing.T) {
	w := listtest.New(t)
	for name, expires := range map[string]time.Time{"list first": w.At.AddDate(0, 0, 1), "certificate first": w.At.AddDate(9, 0, 0)} {
		t.Run(name, func(t *testing.T) {
			v, err := w.Verify(w.Message(listtest.List(func(b *listtest.Builder) { b.Expires(expires) })))
			if err != nil {
				t.Fatal(err)
			}
			want := expires
			if w.Alice.Cert.NotAfter.Before(want) {
				want = w.Alice.Cert.NotAfter
			}
			if !v.Until().Equal(want) {
				t.Errorf("have %s, want %s", v.Until(), want)
			}
		})
	}
}

// FuzzVerify: whatever is accepted says what was signed.
func FuzzVerify(f *testing.F) {
	w := listtest.New(f)
	anchors, q := w.Anchors(), w.Question()
	good := w.Message()
	v, err := imagelist.Verify(good, anchors, w.At, q)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(w.Message(listtest.Opaque()))
	for _, change := range []listtest.Change{listtest.NotSigned(), listtest.Cut(), listtest.Tampered(), listtest.DuplicateKey()} {
		f.Add(w.Message(change))
	}
	seedCases(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		before := bytes.Clone(raw)
		have, told := imagelist.Examine(raw, anchors, w.At, q)
		if !bytes.Equal(raw, before) {
			t.Fatal("Examine wrote to the message")
		}
		if (have == nil) != (told.Rejection != nil) || len(told.Checks) == 0 {
			t.Fatalf("verified %v, rejection %v", have != nil, told.Rejection)
		}
		if have != nil && have.Payload() != v.Payload() {
			t.Fatal("accepted what nobody signed")
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	w := listtest.New(b)
	e := w.Alice.Endorser()
	text := strings.Replace(string(bigList(imagelist.MaxImages)), `"hv:dn":"/CN=A","hv:ca":"/CN=CA"`, fmt.Sprintf(`"hv:dn":%q,"hv:ca":%q`, e.DN, e.CA), 1)
	raw := w.Sign(listtest.NewList(w.At).Raw(text))
	anchors := w.Anchors()
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := imagelist.Verify(raw, anchors, w.At, w.Question()); err != nil {
			b.Fatal(err)
		}
	}
}
