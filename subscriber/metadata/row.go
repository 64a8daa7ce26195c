package metadata

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc64"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A value is a checksum of its key and text, then the text, JSON.
//
// The checksum is ours, not badger's, because badger's stop at the table and
// the log: they do not notice a value under another key, nor a table or log
// that is missing altogether. The sum of all rows' checksums is kept in the
// meta row of the same transaction (see metaRow), so that a set of rows that
// was never committed together cannot be loaded.
const checksumSize = 8

var checksums = crc64.MakeTable(crc64.ECMA)

// jsonOptions bend no row: what is stored was validated by its owners, and a
// publisher's or server's odd text must not be able to fail a transaction.
// Invalid UTF-8 is replaced by U+FFFD.
var jsonOptions = json.JoinOptions(
	json.Deterministic(true),
	json.RejectUnknownMembers(true),
	jsontext.AllowInvalidUTF8(true),
	jsontext.AllowDuplicateNames(true),
	jsontext.PreserveRawStrings(true),
)

func checksum(key string, text []byte) uint64 {
	return crc64.Update(crc64.Checksum([]byte(key), checksums), checksums, text)
}

// encode is the value of a row.
func encode(key string, row any) ([]byte, error) {
	text, err := json.Marshal(row, jsonOptions)
	if err != nil {
		return nil, fmt.Errorf("row %q: %w", key, err)
	}
	value := make([]byte, checksumSize, checksumSize+len(text))
	binary.BigEndian.PutUint64(value, checksum(key, text))
	return append(value, text...), nil
}

var (
	errShort    = errors.New("value too short")
	errChecksum = errors.New("wrong checksum")
)

// stated is the checksum that a value claims.
func stated(value []byte) (uint64, error) {
	if len(value) < checksumSize {
		return 0, errShort
	}
	return binary.BigEndian.Uint64(value), nil
}

// unwrap is a value's JSON, once its checksum holds.
func unwrap(key string, value []byte) ([]byte, error) {
	sum, err := stated(value)
	if err != nil {
		return nil, err
	}
	t := value[checksumSize:]
	if checksum(key, t) != sum {
		return nil, errChecksum
	}
	return t, nil
}

// decode reads text into row, all of it, and nothing that row does not know.
func decode(text []byte, row any) error { return json.Unmarshal(text, row, jsonOptions) }
