package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/fb"
	"github.com/dgraph-io/badger/v4/pb"
	"github.com/dgraph-io/badger/v4/table"
	"github.com/dgraph-io/badger/v4/y"
	"google.golang.org/protobuf/proto"
)

// Badger verifies a table's checksums after it has followed the table's
// offsets, in a goroutine of its own and with log.Fatal at hand. So that a
// damaged table ends in an error instead of the process, the tables of a
// store without a seal are verified here first.
//
//	table = block… index length-of-index checksum length-of-checksum
//	block = entries checksum length-of-checksum
//
// Lengths are four bytes, big endian; the table's checksum is its index's.
// Tables that the MANIFEST does not name are a crash's leftovers: badger
// removes them unread.

// checkTables is ErrCorrupt when the MANIFEST, or a table that it names, is
// damaged or missing.
func checkTables(tree string) error {
	return contain(func() error {
		manifest, err := readManifest(tree)
		if err != nil {
			return err
		}
		for id := range manifest.Tables {
			data, err := os.ReadFile(table.NewFilename(id, tree))
			if errors.Is(err, os.ErrNotExist) {
				return corrupt(err)
			}
			if err != nil {
				return err
			}
			if err := checkTable(data); err != nil {
				return corrupt(fmt.Errorf("table %d: %w", id, err))
			}
		}
		return nil
	})
}

// readManifest is empty for a new store, which has no MANIFEST.
func readManifest(tree string) (badger.Manifest, error) {
	f, err := os.Open(filepath.Join(tree, badger.ManifestFilename))
	if errors.Is(err, os.ErrNotExist) {
		return badger.Manifest{}, nil
	}
	if err != nil {
		return badger.Manifest{}, err
	}
	defer f.Close()
	m, _, err := badger.ReplayManifestFile(f, 0, badgerOptions(tree, &lastError{}))
	if err != nil {
		return m, corrupt(err)
	}
	return m, nil
}

var errTable = errors.New("malformed")

func checkTable(data []byte) error {
	rest, sum, err := cutChecksum(data)
	if err != nil {
		return err
	}
	_, index, err := cutLength(rest)
	if err != nil {
		return err
	}
	if err := y.VerifyChecksum(index, sum); err != nil {
		return err
	}
	blocks := fb.GetRootAsTableIndex(index, 0)
	if blocks.OffsetsLength() == 0 {
		return errTable
	}
	var b fb.BlockOffset
	for i := range blocks.OffsetsLength() {
		blocks.Offsets(&b, i)
		from, to := uint64(b.Offset()), uint64(b.Offset())+uint64(b.Len())
		if to > uint64(len(data)) {
			return errTable
		}
		entries, sum, err := cutChecksum(data[from:to])
		if err != nil {
			return err
		}
		if err := y.VerifyChecksum(entries, sum); err != nil {
			return err
		}
	}
	return nil
}

// cutChecksum cuts a checksum and its length from the end of data.
func cutChecksum(data []byte) (rest []byte, sum *pb.Checksum, err error) {
	rest, text, err := cutLength(data)
	if err != nil {
		return nil, nil, err
	}
	sum = &pb.Checksum{}
	return rest, sum, proto.Unmarshal(text, sum)
}

// cutLength cuts from the end of data a length and as many bytes before it.
func cutLength(data []byte) (rest, tail []byte, err error) {
	if len(data) < 4 {
		return nil, nil, errTable
	}
	rest = data[:len(data)-4]
	n := uint64(binary.BigEndian.Uint32(data[len(data)-4:]))
	if n > uint64(len(rest)) {
		return nil, nil, errTable
	}
	at := len(rest) - int(n)
	return rest[:at], rest[at:], nil
}
