package trust

import (
	"crypto/x509"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"vouch/imagelist/verdict"
)

// TestIGTF loads the certificates of the real federation.
func TestIGTF(t *testing.T) {
	s := loadReal(t)
	if problems := s.Problems(); len(problems) != 0 {
		t.Errorf("problems %v", problems)
	}
	anchors := s.Anchors()
	roots, expired, policies, statements := 0, 0, 0, 0
	for _, a := range anchors {
		if a.SelfSigned {
			roots++
		}
		if a.NotAfter.Before(now) {
			expired++
			t.Logf("expired: %s", a.DN)
		}
		if len(a.Files) != 2 || a.Hash == a.HashOld {
			t.Errorf("%s: files %q", a.DN, a.Files)
		}
		for _, p := range a.Policies {
			if strings.HasSuffix(p.File, ".namespaces") {
				statements += p.Rules
			} else {
				policies++
			}
		}
	}
	if policies != len(anchors) || statements < 130 {
		t.Errorf("%d signing policies, %d statements of namespaces for %d CAs", policies, statements, len(anchors))
	}
	if len(anchors) < 80 || roots < 50 || roots == len(anchors) {
		t.Errorf("%d anchors, %d of them self-signed", len(anchors), roots)
	}
	if expired == 0 || expired > len(anchors)/5 {
		t.Errorf("%d expired", expired)
	}
	if !slices.IsSortedFunc(anchors, func(a, b Anchor) int { return strings.Compare(a.DN, b.DN) }) {
		t.Error("not sorted")
	}
	if err := s.Usable(Policy{CRL: IfPresent}); err != nil {
		t.Error(err)
	}
}

// TestIGTFHashes compares with openssl's hashes of the same files.
func TestIGTFHashes(t *testing.T) {
	s := loadReal(t)
	for _, a := range s.all {
		out := strings.Fields(openssl(t, "", toPEM(pemCertificate, a.cert.Raw), "x509", "-noout", "-subject_hash", "-subject_hash_old"))
		if len(out) != 2 || a.hash != out[0] || a.hashOld != out[1] {
			t.Errorf("%s: %s %s, openssl has %v", a.dn, a.hash, a.hashOld, out)
		}
	}
}

func TestDirectoryNames(t *testing.T) {
	w := newWorld(t)
	before := w.load()
	if got := before.Anchors(); len(got) != 2 || len(got[0].Files) != 2 || len(got[0].Policies) != 1 || len(got[0].CRLs) != 1 {
		t.Fatalf("%+v", got)
	}
	stranger := newRoot(t, dn(t, "DC=org", "CN=Stranger"))
	pem := toPEM(pemCertificate, stranger.cert.Raw)
	w.put("stranger.pem", pem)
	w.put(Hash(stranger.cert.RawSubject)+".pem", pem)
	w.put(strings.ToUpper(Hash(stranger.cert.RawSubject))+".0x", pem)
	if s := w.load(); len(s.Anchors()) != 2 || len(s.Problems()) != 0 || s.ID() != before.ID() {
		t.Errorf("other names count: %+v %v", s.Anchors(), s.Problems())
	}
	w.put("00000000.0", pem)
	w.put("00000001.0", []byte("rubbish"))
	w.put("00000002.0", toPEM(pemCertificate, []byte("rubbish")))
	w.put("00000003.r0", []byte("rubbish"))
	w.put("00000003.namespaces", []byte("rubbish"))
	must(t, os.Symlink("nowhere", filepath.Join(w.path, "00000004.0")))
	must(t, os.Mkdir(filepath.Join(w.path, "00000005.0"), 0o755))
	s := w.load()
	var files []string
	for _, p := range s.Problems() {
		files = append(files, p.File)
	}
	want := []string{"00000000.0", "00000001.0", "00000002.0", "00000003.namespaces", "00000003.r0", "00000004.0", "00000005.0"}
	if !slices.Equal(files, want) || len(s.Anchors()) != 2 {
		t.Errorf("problems of %q, want %q", files, want)
	}
	if _, r, _ := outcome(t, s, w.user.cert, Policy{}); r != nil {
		t.Errorf("a problem disables more than its file: %v", r)
	}
}

func TestBundle(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.path, "bundle.pem")
	bundle := slices.Concat([]byte("some text\n"), toPEM(pemCertificate, w.root.cert.Raw), toPEM(pemCertificate, w.ca.cert.Raw),
		toPEM(pemCRL, w.root.crl(t, nil)), toPEM(pemCRL, w.ca.crl(t, nil)), toPEM(pemCertificate, []byte("x")), toPEM("PRIVATE KEY", []byte("x")))
	must(t, os.WriteFile(path, bundle, 0o644))
	s, err := Load(path)
	must(t, err)
	if len(s.Anchors()) != 2 || len(s.Problems()) != 2 {
		t.Errorf("%+v, %v", s.Anchors(), s.Problems())
	}
	if _, r, _ := outcome(t, s, w.user.cert, Policy{SigningPolicy: IfPresent}); r != nil {
		t.Error(r)
	}
	_, r, _ := outcome(t, s, w.user.cert, Policy{})
	wantCode(t, r, verdict.SigningPolicy, true)
}

func TestID(t *testing.T) {
	w := newWorld(t)
	id := w.load().ID()
	if again := w.load().ID(); again != id || len(id) != 64 {
		t.Errorf("%s, then %s", id, again)
	}
	seen := map[string]string{id: "unchanged"}
	for _, step := range []struct {
		name   string
		change func()
	}{
		{"new CRL", func() { w.put(file(w.ca, "r0"), w.ca.crl(t, nil, w.user)) }},
		{"new policy", func() { w.put(file(w.ca, "signing_policy"), signingPolicyFor(w.ca, "/DC=com/*")) }},
		{"policy gone", func() { w.remove(file(w.ca, "signing_policy")) }},
		{"empty policy", func() { w.put(file(w.ca, "signing_policy"), nil) }},
		{"unreadable policy", func() {
			w.remove(file(w.ca, "signing_policy"))
			must(t, os.Symlink("nowhere", filepath.Join(w.path, file(w.ca, "signing_policy"))))
		}},
		{"link gone", func() { w.remove(HashOld(w.ca.cert.RawSubject) + ".0") }},
	} {
		step.change()
		id := w.load().ID()
		if other, ok := seen[id]; ok {
			t.Errorf("%s has the ID of %s", step.name, other)
		}
		seen[id] = step.name
	}
}

func TestUsable(t *testing.T) {
	empty := newDirectory(t).load()
	wantCode(t, verdict.As(empty.Usable(Policy{CRL: Ignore})), verdict.Untrusted, true)
	user := newRoot(t, dn(t, "CN=x")).user(t, dn(t, "CN=y"))
	_, r, _ := outcome(t, empty, user.cert, Policy{})
	wantCode(t, r, verdict.Untrusted, true)

	w := newWorld(t)
	if err := w.load().Usable(Policy{}); err != nil {
		t.Error(err)
	}
	w.remove(file(w.ca, "r0"))
	w.put(file(w.root, "r0"), []byte("rubbish"))
	for _, mode := range []Mode{Require, ""} {
		err := w.load().Usable(Policy{CRL: mode})
		wantCode(t, verdict.As(err), verdict.CRLMissing, true)
		if err != nil && !strings.Contains(err.Error(), "fetch-crl") {
			t.Error(err)
		}
	}
	if err := w.load().Usable(Policy{CRL: IfPresent}); err != nil {
		t.Error(err)
	}
}

func TestPoolHoldsRootsOnly(t *testing.T) {
	w := newWorld(t)
	want := x509.NewCertPool()
	want.AddCert(w.root.cert)
	s := w.load()
	if !s.Pool().Equal(want) {
		t.Error("the pool is not the root alone")
	}
	s.Pool().AddCert(w.ca.cert)
	if !s.Pool().Equal(want) {
		t.Error("a caller changed the store")
	}
}

func TestRootsAndCount(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	if roots := s.Roots(); len(roots) != 1 || !roots[0].Equal(w.root.cert) {
		t.Errorf("%d roots", len(roots))
	}
	if anchors, crls := s.Count(); anchors != 2 || crls != 2 {
		t.Errorf("%d anchors, %d CRL files", anchors, crls)
	}
}

func TestF18_DirectoryVanishes(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	must(t, os.RemoveAll(w.path))
	if _, err := Load(w.path); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
	if _, r, _ := outcome(t, s, w.user.cert, Policy{}); r != nil {
		t.Errorf("the snapshot went with it: %v", r)
	}
}

// TestT26_Permissions: nobody else may be able to exchange what is trusted.
func TestT26_Permissions(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, top, dir string)
		bad   bool
	}{
		{"as it is", func(*testing.T, string, string) {}, false},
		{"directory", func(t *testing.T, top, dir string) { must(t, os.Chmod(dir, 0o777)) }, true},
		{"sticky directory", func(t *testing.T, top, dir string) { must(t, os.Chmod(dir, 0o777|fs.ModeSticky)) }, false},
		{"parent", func(t *testing.T, top, dir string) { must(t, os.Chmod(top, 0o777)) }, true},
		{"sticky parent", func(t *testing.T, top, dir string) { must(t, os.Chmod(top, 0o777|fs.ModeSticky)) }, false},
		{"group may write", func(t *testing.T, top, dir string) { must(t, os.Chmod(dir, 0o775)) }, false},
		{"directory of a link's target", func(t *testing.T, top, dir string) { elsewhere(t, top, dir, 0o777, 0o644) }, true},
		{"sticky directory of a link's target", func(t *testing.T, top, dir string) { elsewhere(t, top, dir, 0o777|fs.ModeSticky, 0o644) }, false},
		{"target of a link", func(t *testing.T, top, dir string) { elsewhere(t, top, dir, 0o755, 0o666) }, true},
		{"a file nobody looks at", func(t *testing.T, top, dir string) {
			must(t, os.WriteFile(filepath.Join(dir, "README"), nil, 0o600))
			must(t, os.Chmod(filepath.Join(dir, "README"), 0o666))
		}, false},
		{"directory of a linked directory", func(t *testing.T, top, dir string) {
			open := filepath.Join(top, "open")
			must(t, os.Mkdir(open, 0o755))
			must(t, os.Rename(dir, filepath.Join(open, "real")))
			must(t, os.Symlink(filepath.Join(open, "real"), dir))
			must(t, os.Chmod(open, 0o777))
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDirectory(t)
			dir := filepath.Join(d.path, "certificates")
			must(t, os.Mkdir(dir, 0o755))
			inner := &directory{t, dir}
			inner.anchor(newRoot(t, dn(t, "CN=CA")))
			c.spoil(t, d.path, dir)
			_, err := Load(dir)
			if (err != nil) != c.bad {
				t.Errorf("error %v", err)
			}
			if err != nil && !strings.Contains(err.Error(), "written by everybody") {
				t.Error(err)
			}
		})
	}
}

// elsewhere replaces the CRL by a link into another directory, over a second
// link with a relative target.
func elsewhere(t *testing.T, top, dir string, mode, fileMode fs.FileMode) {
	t.Helper()
	crls, err := filepath.Glob(filepath.Join(dir, "*.r0"))
	must(t, err)
	other := filepath.Join(top, "other")
	must(t, os.Mkdir(other, 0o755))
	must(t, os.Rename(crls[0], filepath.Join(other, "crl")))
	must(t, os.Chmod(filepath.Join(other, "crl"), fileMode))
	must(t, os.Symlink("../other/crl", filepath.Join(dir, "alias")))
	must(t, os.Symlink("alias", crls[0]))
	must(t, os.Chmod(other, mode))
}

func TestLinksInACircle(t *testing.T) {
	d := newDirectory(t)
	must(t, os.Symlink("00000000.1", filepath.Join(d.path, "00000000.0")))
	must(t, os.Symlink("00000000.0", filepath.Join(d.path, "00000000.1")))
	if p := d.load().Problems(); len(p) != 2 {
		t.Errorf("%v", p)
	}
}

// TestF17_CRLsReplacedWhileLoading: fetch-crl renames new files over old ones;
// every snapshot has one or the other, whole.
func TestF17_CRLsReplacedWhileLoading(t *testing.T) {
	w := newWorld(t)
	name := filepath.Join(w.path, file(w.ca, "r0"))
	padding := make([]*identity, 200)
	for i := range padding {
		padding[i] = w.root
	}
	versions := [][]byte{toPEM(pemCRL, w.ca.crl(t, nil)), toPEM(pemCRL, w.ca.crl(t, func(l *x509.RevocationList) { l.ThisUpdate = now }, padding...))}
	stop := make(chan struct{})
	var replacing sync.WaitGroup
	replacing.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-stop:
				return
			default:
			}
			temporary := filepath.Join(w.path, fmt.Sprintf("new-%d", n))
			if err := os.WriteFile(temporary, versions[n%2], 0o644); err != nil {
				t.Error(err)
				return
			}
			if err := os.Rename(temporary, name); err != nil {
				t.Error(err)
				return
			}
		}
	})
	seen := map[time.Time]int{}
	for range 200 {
		s := w.load()
		var asking sync.WaitGroup
		for range 2 {
			asking.Go(func() { outcome(t, s, w.user.cert, Policy{}) })
		}
		asking.Wait()
		result, r, _ := outcome(t, s, w.user.cert, Policy{})
		if r != nil {
			t.Fatal(r)
		}
		seen[result.CRLs[0].ThisUpdate]++
	}
	close(stop)
	replacing.Wait()
	if len(seen) != 2 {
		t.Errorf("never met both: %v", seen)
	}
}

// TestConcurrentQuestions: files are parsed once, whoever comes first.
func TestConcurrentQuestions(t *testing.T) {
	w := newWorld(t)
	s := w.load()
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			if _, _, err := s.Verify(w.user.cert, nil, now, Policy{}); err != nil {
				t.Error(err)
			}
			s.Anchors()
			s.Problems()
			if err := s.Usable(Policy{}); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
}

func BenchmarkLoadIGTF(b *testing.B) {
	loadReal(b)
	for b.Loop() {
		if _, err := Load(realCertificates); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	s := w.load()
	for b.Loop() {
		if _, _, err := s.Verify(w.user.cert, nil, now, Policy{}); err != nil {
			b.Fatal(err)
		}
	}
}
