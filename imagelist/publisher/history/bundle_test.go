package history

import (
	"archive/zip"
	"bytes"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"vouch/imagelist"
)

func export(t *testing.T, fsys fs.FS) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Export(&b, fsys); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func bundle(t *testing.T, raw []byte) fs.FS {
	t.Helper()
	fsys, err := OpenBundle(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		t.Fatal(err)
	}
	return fsys
}

// TestE6_Bundle: without the workspace, the same is verified and found, and the
// same workspace gives the same bytes.
func TestE6_Bundle(t *testing.T) {
	o := working(t)
	raw := export(t, os.DirFS(o.dir))
	r := holds(t, bundle(t, raw), 5)
	if have := verify(t, os.DirFS(o.dir)); r.Root != have.Root || r.Witnessed != 3 || r.SBOMs != 1 {
		t.Errorf("bundle %+v, workspace %+v", r, have)
	}
	if entries, err := Read(bundle(t, raw)); err != nil || len(entries) != 5 {
		t.Errorf("%d entries, %v", len(entries), err)
	}
	if !bytes.Equal(raw, export(t, o.files())) {
		t.Error("exported twice, two bundles")
	}
	if err := Export(io.Discard, fstest.MapFS{}); !errors.Is(err, ErrNone) {
		t.Errorf("no history: %v", err)
	}
}

// TestE6_BundleEveryByteCounts: a damaged or edited bundle does not pass. Only
// the archive's own bookkeeping and README.txt may change unseen.
func TestE6_BundleEveryByteCounts(t *testing.T) {
	o := newOffice(t)
	o.append(o.entry(Init), o.remove("image-1"))
	raw := export(t, os.DirFS(o.dir))
	whole := zipped(t, bundle(t, raw).(*zip.Reader))
	unseen := 0
	for i := range raw {
		spoilt := bytes.Clone(raw)
		spoilt[i] ^= 1
		fsys, err := OpenBundle(bytes.NewReader(spoilt), int64(len(spoilt)))
		if err != nil {
			continue
		}
		if r, err := Verify(fsys); err != nil || !r.OK {
			continue
		}
		unseen++
		if have := zipped(t, fsys.(*zip.Reader)); !maps.Equal(have, whole) {
			t.Fatalf("byte %d: other content passes", i)
		}
	}
	t.Logf("%d of %d bytes are bookkeeping", unseen, len(raw))
}

// zipped is the content of an archive but for README.txt.
func zipped(t *testing.T, z *zip.Reader) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, f := range z.File {
		if f.Name == readmeName {
			continue
		}
		raw, err := fs.ReadFile(z, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(raw)
	}
	return files
}

// TestBundle_Hostile: what would leave its place, keep a reader busy, or
// mean two things is refused before anything is read.
func TestBundle_Hostile(t *testing.T) {
	o := working(t)
	whole := zipped(t, bundle(t, export(t, os.DirFS(o.dir))).(*zip.Reader))
	bomb := strings.Repeat("\x00", 40<<20)
	link := header("sbom/link")
	link.SetMode(fs.ModeSymlink | 0o777)
	for name, spoil := range map[string]func(*zip.Writer) error{
		"outside":    func(z *zip.Writer) error { return put(z, header("../history/x"), "") },
		"absolute":   func(z *zip.Writer) error { return put(z, header("/history/x"), "") },
		"dots":       func(z *zip.Writer) error { return put(z, header("signed/../history/x"), "") },
		"backslash":  func(z *zip.Writer) error { return put(z, header(`signed/..\x`), "") },
		"elsewhere":  func(z *zip.Writer) error { return put(z, header("bin/sh"), "") },
		"deep":       func(z *zip.Writer) error { return put(z, header("signed/a/b"), "") },
		"directory":  func(z *zip.Writer) error { return put(z, header("signed/a/"), "") },
		"link":       func(z *zip.Writer) error { return put(z, link, "../../etc/passwd") },
		"twice":      func(z *zip.Writer) error { return put(z, header(entriesName), whole[entriesName]) },
		"bomb":       func(z *zip.Writer) error { return put(z, header("sbom/bomb"), bomb) },
		"large":      func(z *zip.Writer) error { return put(z, header("signed/large"), bomb[:MaxMessage+1]) },
		"checkpoint": func(z *zip.Writer) error { return put(z, header(checkpointName(6)), bomb[:maxCheckpoint+1]) },
	} {
		raw := zipOf(t, whole, spoil)
		var refused *BundleError
		if _, err := OpenBundle(bytes.NewReader(raw), int64(len(raw))); !errors.As(err, &refused) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var refused *BundleError
	if _, err := OpenBundle(strings.NewReader("no zip"), 6); !errors.As(err, &refused) {
		t.Errorf("no zip: %v", err)
	}
	raw := zipOf(t, whole, func(*zip.Writer) error { return nil })
	holds(t, bundle(t, raw), 5) // packed by others, it verifies
}

func put(z *zip.Writer, h *zip.FileHeader, content string) error {
	w, err := z.CreateHeader(h)
	if err == nil && !strings.HasSuffix(h.Name, "/") {
		_, err = io.WriteString(w, content)
	}
	return err
}

func zipOf(t *testing.T, files map[string]string, more func(*zip.Writer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	var err error
	for _, name := range slices.Sorted(maps.Keys(files)) {
		err = errors.Join(err, put(z, header(name), files[name]))
	}
	if err := errors.Join(err, more(z), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestVerify_HostileDirectory: links and directories in a workspace are not
// followed, and named.
func TestVerify_HostileDirectory(t *testing.T) {
	for name, spoil := range map[string]func(path string) error{
		"link":      func(path string) error { return os.Symlink("/dev/zero", path) },
		"directory": func(path string) error { return os.Mkdir(path, 0o755) },
	} {
		for _, where := range []string{entriesName, checkpointName(2), "signed/1.0.0.smime", "sbom/x.json"} {
			o := working(t)
			path := filepath.Join(o.dir, where)
			os.Remove(path)
			if err := spoil(path); err != nil {
				t.Fatal(err)
			}
			if r, err := Verify(os.DirFS(o.dir)); err != nil || r.OK || r.Problem.Where != where || r.Problem.Detail != "not a regular file" {
				t.Errorf("%s at %s: %v, %v", name, where, err, r)
			}
		}
	}
}

// TestE6_WithoutVouch does by other means what README.txt says.
func TestE6_WithoutVouch(t *testing.T) {
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("needs openssl")
		}
		t.Skip("needs openssl")
	}
	o := working(t)
	shell := func(script string) string {
		t.Helper()
		cmd := exec.Command("sh", "-c", script)
		cmd.Dir = o.dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
		return string(out)
	}
	commands := map[string]string{}
	for _, line := range strings.Split(readme, "\n") {
		line = strings.TrimSpace(line)
		for _, start := range []string{"(printf", "sed -n 2p", "sha512sum signed", "openssl", "cd sbom"} {
			if strings.HasPrefix(line, start) {
				commands[start] = line
			}
		}
	}
	if len(commands) != 5 {
		t.Fatalf("README.txt: %q", commands)
	}
	leaf, _, _ := strings.Cut(shell(commands["(printf"]), " ")
	if second := shell(commands["sed -n 2p"]); !strings.Contains(second, `"prev":"`+leaf+`"`) {
		t.Errorf("leaf hash %s is not in %s", leaf, second)
	}
	all, _ := Read(os.DirFS(o.dir))
	if out := shell(commands["sha512sum signed"]); !strings.HasPrefix(out, all[3].List.SHA512) {
		t.Errorf("%s", out)
	}
	if out := strings.Fields(shell(commands["cd sbom"])); out[0]+".json" != out[1] {
		t.Errorf("%s", out)
	}
	o.write("CA.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: o.CA.Cert.Raw}))
	shell(strings.Replace(commands["openssl"], "FILE", "1.0.0.smime", 1))
	raw, err := os.ReadFile(filepath.Join(o.dir, "list.json"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := imagelist.Decode(raw)
	if err != nil || !strings.HasPrefix(list.Checkpoint, "vouch-history/"+string(listID)+"\n3\n") {
		t.Errorf("%v: %+v", err, list)
	}
}

// TestE6_TreeByHand computes the root of RFC 6962 from its definition.
func TestE6_TreeByHand(t *testing.T) {
	o := working(t)
	lines := strings.Split(strings.TrimSuffix(string(o.files()[entriesName].Data), "\n"), "\n")
	root := byHand(lines)
	cp, err := openCheckpoint(o.log.Checkpoint(), Origin(listID), o.log.chain.keys)
	if err != nil || hex.EncodeToString(cp.Hash[:]) != hex.EncodeToString(root) || cp.N != int64(len(lines)) {
		t.Errorf("checkpoint %x, by hand %x, %v", cp.Hash, root, err)
	}
}
