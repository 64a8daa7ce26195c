package destination

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// resume cuts an upload to a destination whose directory is that of list.
func resume(t *testing.T, dest string, o Options) {
	list := dest
	if _, p, ok := strings.Cut(dest, ":"); ok {
		list = p
	}
	file := image(t, 4*block+9)
	for name, c := range map[string]struct {
		damage func(part string)
		want   int64
	}{
		"kept":      {func(string) {}, 2 * block},
		"cut short": {func(part string) { os.Truncate(part, 3*block/2) }, block},
		"damaged":   {func(part string) { zero(t, part, 2*block-1) }, 0},
		"too long":  {func(part string) { os.Truncate(part, 5*block) }, 0},
	} {
		if list != dest && c.want == block || list != dest && name == "too long" {
			continue // the same code, and slower
		}
		t.Run(name, func(t *testing.T) {
			image := strings.ReplaceAll(name, " ", "-")
			ctx, cancel := context.WithCancelCause(context.Background())
			cut := errors.New("cut")
			d := open(t, dest, o)
			_, err := d.Upload(ctx, image, file, sumOf(t, file), func(done, _ int64) {
				if done == 3*block {
					cancel(cut)
				}
			})
			if !errors.Is(err, cut) {
				t.Fatalf("cut: %v", err)
			}
			parts, _ := filepath.Glob(filepath.Join(filepath.Dir(list), "."+image+".*.part"))
			if len(parts) != 1 || isFile(filepath.Join(filepath.Dir(list), image)) {
				t.Fatalf("after the cut: %q", names(t, filepath.Dir(list)))
			}
			c.damage(parts[0])
			done, err := open(t, dest, o).Upload(context.Background(), image, file, sumOf(t, file), nil)
			if err != nil || done.Resumed != c.want {
				t.Errorf("%+v, %v; want to resume at %d", done, err, c.want)
			}
			if read(t, filepath.Join(filepath.Dir(list), image)) != read(t, file) {
				t.Error("other bytes arrived")
			}
		})
	}
}

func zero(t *testing.T, path string, at int64) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte{0}, at); err != nil {
		t.Fatal(err)
	}
}
