package diskimage

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func need(tb testing.TB, programs ...string) {
	tb.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err == nil {
			continue
		}
		if os.Getenv("CI") != "" {
			tb.Fatal(p + " is not installed")
		}
		tb.Skip(p + " is not installed")
	}
}

// shell runs a line in dir.
func shell(tb testing.TB, dir, line string) {
	tb.Helper()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", line)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", line, err, out)
	}
}

const diskSize = 4 << 20

// disk is what is converted: something to read, and holes.
func disk() []byte {
	b := make([]byte, diskSize)
	src := rand.NewChaCha8([32]byte{1})
	src.Read(b[:300_000])
	src.Read(b[3_000_000:3_200_000])
	return b
}

func write(tb testing.TB, name string, b []byte) string {
	tb.Helper()
	if !filepath.IsAbs(name) {
		name = filepath.Join(tb.TempDir(), name)
	}
	if err := os.WriteFile(name, b, 0o600); err != nil {
		tb.Fatal(err)
	}
	return name
}

// look is what is said of a file: its format, or what it was refused for.
func look(tb testing.TB, path string) string {
	tb.Helper()
	f, err := Measure(context.Background(), path, nil)
	r, refused := errors.AsType[*Refused](err)
	switch {
	case refused && r.Hint() == "":
		tb.Errorf("%v: no hint", err)
		fallthrough
	case refused:
		return r.Error()
	case err != nil:
		tb.Errorf("neither measured nor refused: %v", err)
		return ""
	}
	return strings.Join(append([]string{f.Format}, f.Notes...), "; ")
}

// bent is a copy of a file with some bytes others; a negative offset is from
// the end.
func bent(tb testing.TB, path string, patches ...patch) string {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	for _, p := range patches {
		if p.off < 0 {
			p.off += len(b)
		}
		copy(b[p.off:], p.data)
	}
	return write(tb, "bent", b)
}

type patch struct {
	off  int
	data string
}
