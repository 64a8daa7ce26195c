package imagelist_test

import (
	"bytes"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
	"vouch/imagelist/smime"
)

// TestT01_EveryBit flips every bit of a signed list, one at a time: nothing is
// accepted with another content or another signer. What is accepted is a flip
// where it decides nothing, in a header or in white space.
func TestT01_EveryBit(t *testing.T) {
	w := listtest.New(t)
	anchors := w.Anchors()
	q := imagelist.Question{Authorised: []imagelist.Authorised{w.Bob.Authorised()}}
	content := listtest.NewList(w.At).NoImages().Remove("dc:title").Remove("dc:description").Remove("dc:source").Endorsers(w.Bob.Endorser()).Bytes(t)
	for name, opaque := range map[string]bool{"clear-signed": false, "opaque": true} {
		t.Run(name, func(t *testing.T) {
			raw, err := smime.Sign(content, w.Bob.Cert, w.Bob.Key, nil, smime.SignOptions{At: w.At, Opaque: opaque})
			if err != nil {
				t.Fatal(err)
			}
			good, err := imagelist.Verify(raw, anchors, w.At, q)
			if err != nil {
				t.Fatal(err)
			}
			accepted := flipAll(raw, func(flipped []byte, bit int) bool {
				v, err := imagelist.Verify(flipped, anchors, w.At, q)
				if err == nil && (v.Payload() != good.Payload() || v.Signer() != good.Signer()) {
					t.Errorf("bit %d of byte %d, %q: signed by %+v", bit%8, bit/8, flipped[bit/8], v.Signer())
				}
				return err == nil
			})
			t.Logf("%d bits, %d flips accepted", 8*len(raw), accepted)
			if accepted > int64(2*len(raw)) {
				t.Error("a quarter of all flips changes nothing")
			}
		})
	}
}

// flipAll calls judge with every bit of raw flipped, on all processors, and
// counts what it accepts.
func flipAll(raw []byte, judge func(flipped []byte, bit int) bool) int64 {
	var next, accepted atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			mine := bytes.Clone(raw)
			for bit := int(next.Add(1)) - 1; bit < 8*len(raw); bit = int(next.Add(1)) - 1 {
				mine[bit/8] ^= 1 << (bit % 8)
				if judge(bytes.Clone(mine), bit) {
					accepted.Add(1)
				}
				mine[bit/8] ^= 1 << (bit % 8)
			}
		})
	}
	group.Wait()
	return accepted.Load()
}
