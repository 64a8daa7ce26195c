package imagelist

import (
	"errors"
	"testing"

	"vouch/imagelist/verdict"
)

// TestRejection: an error that is no rejection is one all the same. Without
// that it would be taken for none.
func TestRejection(t *testing.T) {
	no := rejection(errors.New("the disk is on fire"), verdict.Untrusted)
	if no == nil || no.Code != verdict.Untrusted || no.Detail != "the disk is on fire" {
		t.Errorf("%v", no)
	}
	known := verdict.Reject(verdict.Signature, "bad")
	if rejection(known, verdict.Untrusted) != known {
		t.Error("a rejection is made another")
	}
}
