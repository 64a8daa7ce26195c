package history

import (
	"errors"
	"io/fs"
)

// Verify checks the history of a workspace or a bundle (OpenBundle) offline:
// that every line is the entry that was signed for at its place, every
// checkpoint, the signed lists and the checkpoints within them, and the
// software bills of materials. Report.Problem is the first thing found wrong.
//
// Witnesses are signed lists from elsewhere. What they say of the history must
// be true of this one; that is how a history that was cut or written anew by
// somebody with the key is found out.
//
// Verify asks whether each message was signed by the certificate that its entry
// names; it does not ask whether anybody trusts that certificate.
//
// The error is ErrNone, or one of reading; a history that does not hold is no
// error.
func Verify(fsys fs.FS, witnesses ...Witness) (*Report, error) {
	return nil, errors.New("TODO")
}
