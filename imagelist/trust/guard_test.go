package trust

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// refused wants an error that says something.
func refused(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
}

func TestT26_GuardRefuses(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	must(t, os.WriteFile(at("file"), []byte("0123456789"), 0o644))
	must(t, os.Symlink("file", at("link")))
	must(t, os.Symlink("nowhere", at("dangling")))
	must(t, os.Symlink("circle", at("circle")))
	must(t, os.Mkdir(at("sub"), 0o755))
	g := newGuard()
	for path, want := range map[string]string{
		"file": "is not a directory", "link": "is not a directory", "nowhere": "no such file", "dangling": "no such file",
		"circle": "too many symbolic links", "file/below": "is not a directory", "circle/below": "too many symbolic links",
	} {
		_, err := g.dir(at(path))
		refused(t, err, want)
	}
	for path, want := range map[string]string{
		"sub": "is not a regular file", "nowhere": "no such file", "dangling": "no such file", "circle": "too many symbolic links",
		"file/below": "is not a directory", "nowhere/below": "no such file",
	} {
		_, err := g.file(at(path))
		refused(t, err, want)
	}
}

// TestT46_ReadOfAFileThatChanges: the size is that of before.
func TestT46_ReadOfAFileThatChanges(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, []byte("0123456789"), 0o644))
	p, err := newGuard().file(path)
	must(t, err)
	if data, err := p.read(10); err != nil || string(data) != "0123456789" {
		t.Errorf("%q, %v", data, err)
	}
	_, err = p.read(9)
	refused(t, err, "10 bytes, more than 9")
	must(t, os.WriteFile(path, []byte(strings.Repeat("x", 1000)), 0o644))
	if data, err := p.read(1000); err != nil || len(data) != 1000 {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	_, err = p.read(100)
	refused(t, err, "more than 100 bytes")
	must(t, os.Remove(path))
	_, err = p.read(10)
	refused(t, err, "no such file")
	must(t, os.Mkdir(path, 0o755))
	_, err = p.read(10)
	refused(t, err, "is a directory")
}

func TestBundle_Refused(t *testing.T) {
	w := newWorld(t)
	path := filepath.Join(w.path, "bundle.pem")
	must(t, os.WriteFile(path, []byte("no PEM"), 0o644))
	s, err := Load(path)
	must(t, err)
	if p := s.Problems(); len(p) != 1 || p[0].File != "bundle.pem" || p[0].Detail != "no PEM block" {
		t.Errorf("%v", p)
	}
	if s.Path() != path {
		t.Error(s.Path())
	}
	must(t, os.Truncate(path, maxBundle+1))
	_, err = Load(path)
	refused(t, err, "more than")
	must(t, os.WriteFile(path, toPEM(pemCertificate, w.root.cert.Raw), 0o644))
	must(t, os.Chmod(path, 0o666))
	_, err = Load(path)
	refused(t, err, "may be written by everybody")
}

// TestBundle_CRLs: a list that is there twice is one, and one that is none is a
// problem of its own.
func TestBundle_CRLs(t *testing.T) {
	w := newWorld(t)
	list := toPEM(pemCRL, w.root.crl(t, nil))
	w.put("bundle.pem", append(append(list, list...), toPEM(pemCRL, []byte("rubbish"))...))
	s, err := Load(filepath.Join(w.path, "bundle.pem"))
	must(t, err)
	if _, crls := s.Count(); crls != 1 {
		t.Errorf("%d CRLs", crls)
	}
	if p := s.Problems(); len(p) != 1 || !strings.Contains(p[0].Detail, "block 3: malformed CRL") {
		t.Errorf("%v", p)
	}
}

// TestT46_LargeFiles: a file over its limit is a problem of that file.
func TestT46_LargeFiles(t *testing.T) {
	w := newWorld(t)
	for name, size := range map[string]int64{"00000000.0": maxAnchorFile, "00000000.signing_policy": maxPolicyFile,
		"00000000.namespaces": maxPolicyFile, "00000000.r0": maxCRLFile} {
		w.put(name, nil)
		must(t, os.Truncate(filepath.Join(w.path, name), size+1))
	}
	problems := w.load().Problems()
	if len(problems) != 4 {
		t.Errorf("%v", problems)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.File, "00000000.") || !strings.Contains(p.Detail, "bytes, more than") {
			t.Errorf("%v", p)
		}
	}
}
