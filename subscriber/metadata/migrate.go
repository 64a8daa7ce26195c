package metadata

import (
	"fmt"

	"github.com/dgraph-io/badger/v4"
	"github.com/go-json-experiment/json"
)

// migrations[n] turns the rows of schema n into those of schema n+1, the meta
// row last and with it, as one transaction or as several that may be repeated
// after a crash.
//
// Rows of the second schema may say more than those of the first (which handlers
// take nothing, who is at fault for an attempt, when the cache was inspected),
// those of the third more again (why a letter is dead, events without text, what
// was lost). What a row said before, it says as before; but an older program
// must not meet what it does not know, and take it for damage.
var migrations = map[int]func(*badger.DB) error{1: moreFields(2), 2: moreFields(3)}

// moreFields goes to a schema whose rows may say more.
func moreFields(schema int) func(*badger.DB) error {
	return func(store *badger.DB) error {
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
			m.Schema = schema
			return m.write(txn)
		})
	}
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
