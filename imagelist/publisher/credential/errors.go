package credential

import (
	"errors"
	"fmt"
)

// ErrEncrypted says that a certificate cannot be read without the passphrase of
// the key beside it.
var ErrEncrypted = errors.New("encrypted with the key")

// Error is something wrong with a credential that its owner can put right.
type Error struct {
	what string
	hint string
	err  error
}

func (e *Error) Error() string { return e.what }

// Hint says what to do about it.
func (e *Error) Hint() string { return e.hint }

// Unwrap is the cause: a *verdict.Rejection from Suitable, or ErrEncrypted; nil if there is none.
func (e *Error) Unwrap() error { return e.err }

func fault(hint, format string, args ...any) *Error {
	return &Error{what: fmt.Sprintf(format, args...), hint: hint}
}
