package metadata

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/go-json-experiment/json"
)

// migrations[n] turns the rows of schema n into those of schema n+1, the meta
// row last and with it, as one transaction or as several that may be repeated
// after a crash.
var migrations = map[int]func(*badger.DB) error{1: toSecond}

// toSecond: rows of the second schema may say more (which handlers take nothing,
// who is at fault for an attempt, when the cache was inspected). What a row of
// the first says, it says as before; but a program of the first must not meet
// what it does not know, and take it for damage.
func toSecond(store *badger.DB) error {
	return store.Update(func(txn *badger.Txn) error {
		v, err := value(txn, keyMeta)
		if err != nil {
			return err
		}
		t, err := unwrap(keyMeta, v)
		if err != nil {
			return corrupt(fmt.Errorf("meta row: %w", err))
		}
		var m metaRow
		if err := decode(t, &m); err != nil {
			return corrupt(fmt.Errorf("meta row: %w", err))
		}
		m.Schema = 2
		return m.write(txn)
	})
}

// migrate brings the store to Schema and returns the text of its meta row,
// given the text before. It reads no more of that than the schema number:
// the rest may be of another version.
func (db *DB) migrate(meta []byte) ([]byte, error) {
	for {
		schema, err := schemaOf(meta)
		if err != nil || schema == Schema {
			return meta, err
		}
		step, ok := migrations[schema]
		if !ok {
			return nil, fmt.Errorf("%w: %d; this program's is %d", ErrSchema, schema, Schema)
		}
		if meta, err = db.migrateStep(step); err != nil {
			return nil, fmt.Errorf("migrate from schema %d: %w", schema, err)
		}
	}
}

func schemaOf(meta []byte) (int, error) {
	var m struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(meta, &m); err != nil {
		return 0, corrupt(fmt.Errorf("meta row: %w", err))
	}
	return m.Schema, nil
}

func (db *DB) migrateStep(step func(*badger.DB) error) ([]byte, error) {
	if err := step(db.badger); err != nil {
		return nil, err
	}
	txn := db.badger.NewTransaction(false)
	defer txn.Discard()
	v, err := value(txn, keyMeta)
	if err != nil {
		return nil, err
	}
	return unwrap(keyMeta, v)
}
