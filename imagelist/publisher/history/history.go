// Package history is the endorser's auditable record: every endorsement,
// replacement, removal, signature and publication, in the order in which they
// were made (policy E6, E7, E9; contract §7).
//
// It is a tree as of RFC 6962 over the lines of a text file, with a checkpoint
// signed for every size (C2SP tlog-checkpoint). In the workspace:
//
//	history/entries.jsonl          one entry a line; a leaf is a line without its LF
//	history/checkpoints/00000042   the signed note over the first 42 entries
//	history/next                   an Append under way; see Append
//	signed/                        the messages that sign and import entries name, and no other file
//	sbom/                          software bills of materials, each named by its SHA-512
//
// A line cannot be changed, moved, put in or taken out without breaking a
// checkpoint, and a checkpoint cannot be made without the key, which lies
// elsewhere. Who has the key can write the end of the history anew; what a
// published list says in vouch:checkpoint is beyond his reach, since every
// subscribed site keeps it. What was recorded after the newest list that
// anybody holds is therefore protected by the key alone.
//
// The package locks nothing: the caller keeps two commands out of one
// workspace.
package history

import (
	"errors"
	"fmt"

	"vouch/imagelist"
)

// Names in a workspace.
const (
	dirName        = "history"
	entriesName    = dirName + "/entries.jsonl"
	checkpointsDir = dirName + "/checkpoints"
	nextName       = dirName + "/next"
	signedDir      = "signed"
	sbomDir        = "sbom"
)

// Limits. A history outside of them does not verify, and does not come about.
const (
	MaxLine    = 128 << 10 // bytes of one entry
	MaxEntries = 200_000
	MaxHistory = 128 << 20 // bytes of entries.jsonl
	MaxMessage = 16 << 20  // bytes of one signed list
	MaxSBOM    = 64 << 20  // bytes of one software bill of materials
)

// ErrNone is the error for a workspace that has no history.
var ErrNone = errors.New("no history here")

// A BrokenError is the error for a history that is not what was signed, and
// will not be continued.
type BrokenError struct{ Problem Problem }

func (e *BrokenError) Error() string { return "history: " + e.Problem.String() }

// Hint says what to do.
func (e *BrokenError) Hint() string {
	return "nothing was added; vouch publisher history --verify says more; take the files back from version control or a backup"
}

// Origin is the first line of every checkpoint of a list's history, and the
// name of the keys that sign them.
func Origin(id imagelist.ListID) string { return "vouch-history/" + string(id) }

func checkpointName(size int64) string { return fmt.Sprintf("%s/%08d", checkpointsDir, size) }
