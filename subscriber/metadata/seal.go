package metadata

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// fileSum is what the seal says of one file.
type fileSum struct {
	Size int64  `json:"size"`
	CRC  uint32 `json:"crc32c"`
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal makes the tree's files durable and records them. A store that was closed in order is compared
// with its seal before badger sees a byte of it; one whose process was killed
// has no seal and relies on the checksums inside
// (checkTables, badger's own, the rows').
func seal(dir string) error {
	sums, err := sumTree(filepath.Join(dir, tree), (*os.File).Sync)
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	text, err := json.MarshalIndent(sums, "", "  ")
	if err != nil {
		return fmt.Errorf("seal: %w", err)
	}
	return replace(filepath.Join(dir, sealName), append(text, '\n'))
}

// checkFiles is ErrCorrupt when the tree differs from its seal, or has none
// and damaged tables.
func checkFiles(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, sealName))
	if errors.Is(err, fs.ErrNotExist) {
		return checkTables(filepath.Join(dir, tree))
	}
	if err != nil {
		return err
	}
	var sealed map[string]fileSum
	if err := json.Unmarshal(text, &sealed); err != nil {
		return corrupt(fmt.Errorf("seal: %w", err))
	}
	found, err := sumTree(filepath.Join(dir, tree), nil)
	if err != nil {
		return err
	}
	if !maps.Equal(sealed, found) {
		return corrupt(fmt.Errorf("seal: %s differs", difference(sealed, found)))
	}
	return nil
}

// breakSeal removes the seal, durably, before badger changes the files.
func breakSeal(dir string) error {
	err := os.Remove(filepath.Join(dir, sealName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// sumTree sums each of badger's files, after doing first, if any, to it.
func sumTree(tree string, first func(*os.File) error) (map[string]fileSum, error) {
	entries, err := os.ReadDir(tree)
	if err != nil {
		return nil, err
	}
	sums := make(map[string]fileSum)
	for _, e := range entries {
		if sums[e.Name()], err = sumFile(filepath.Join(tree, e.Name()), first); err != nil {
			return nil, err
		}
	}
	return sums, nil
}

func sumFile(name string, first func(*os.File) error) (fileSum, error) {
	f, err := os.Open(name)
	if err != nil {
		return fileSum{}, err
	}
	defer f.Close()
	if first != nil {
		if err := first(f); err != nil {
			return fileSum{}, err
		}
	}
	h := crc32.New(castagnoli)
	n, err := io.Copy(h, f)
	return fileSum{n, h.Sum32()}, err
}

// difference is the name of the first file that differs.
func difference(a, b map[string]fileSum) string {
	names := slices.Sorted(maps.Keys(a))
	names = slices.AppendSeq(names, maps.Keys(b))
	i := slices.IndexFunc(names, func(n string) bool {
		x, inA := a[n]
		y, inB := b[n]
		return inA != inB || x != y
	})
	return fmt.Sprintf("%q", names[i])
}
