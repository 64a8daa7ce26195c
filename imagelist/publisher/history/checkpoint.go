package history

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxCheckpoint is the length of a signed note in bytes; ours have about 300.
const maxCheckpoint = 4 << 10

// A checkpoint says what the tree of one size is, and who signed that.
type checkpoint struct {
	tlog.Tree
	key string // its hash, as verifiers write it
}

// text is what is signed (C2SP tlog-checkpoint): origin, size, root.
func checkpointText(origin string, t tlog.Tree) string {
	return fmt.Sprintf("%s\n%d\n%s\n", origin, t.N, t.Hash)
}

func (k *Key) sign(t tlog.Tree) (string, error) {
	raw, err := note.Sign(&note.Note{Text: checkpointText(k.signer.Name(), t)}, k.signer)
	return string(raw), err
}

// parseTree reads the text of a checkpoint, which has one spelling only.
func parseTree(origin, text string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[0] != origin {
		return tlog.Tree{}, fmt.Errorf("not a checkpoint of %q", origin)
	}
	n, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || n < 1 {
		return tlog.Tree{}, errors.New("not a checkpoint: no tree size")
	}
	hash, err := tlog.ParseHash(lines[2])
	if err != nil {
		return tlog.Tree{}, errors.New("not a checkpoint: no root hash")
	}
	t := tlog.Tree{N: n, Hash: hash}
	if checkpointText(origin, t) != text {
		return tlog.Tree{}, errors.New("not a checkpoint: spelt otherwise than it is written")
	}
	return t, nil
}

// openCheckpoint reads a note that one of the keys signed. Bytes that mean the
// same when decoded, such as the unused bits at the end of a base64 text, are
// an error: every bit of the file counts.
func openCheckpoint(raw, origin string, known keyring) (checkpoint, error) {
	if len(raw) > maxCheckpoint {
		return checkpoint{}, fmt.Errorf("longer than %d bytes", maxCheckpoint)
	}
	n, err := note.Open([]byte(raw), known)
	if err != nil {
		return checkpoint{}, noteError(err)
	}
	if len(n.Sigs) != 1 {
		return checkpoint{}, fmt.Errorf("%d signatures", len(n.Sigs))
	}
	sig := n.Sigs[0]
	if _, err := base64.StdEncoding.Strict().DecodeString(sig.Base64); err != nil ||
		raw != n.Text+"\n— "+sig.Name+" "+sig.Base64+"\n" {
		return checkpoint{}, errors.New("spelt otherwise than it is signed")
	}
	t, err := parseTree(origin, n.Text)
	return checkpoint{t, fmt.Sprintf("%08x", sig.Hash)}, err
}

// noteError is a note's error without the text it quotes.
func noteError(err error) error {
	var unverified *note.UnverifiedNoteError
	var invalid *note.InvalidSignatureError
	switch {
	case errors.As(err, &unverified):
		return errors.New("not signed by a key known at this point")
	case errors.As(err, &invalid):
		return errors.New("the signature is not over this text")
	}
	return errors.New("not a signed note")
}
