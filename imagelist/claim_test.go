package imagelist_test

import (
	"strings"
	"testing"

	"vouch/imagelist"
	"vouch/imagelist/listtest"
	"vouch/imagelist/smime"
	"vouch/imagelist/verdict"
)

// TestReadClaim: a claim needs no anchors, and all that the bytes alone say.
func TestReadClaim(t *testing.T) {
	w := listtest.New(t)
	c, err := imagelist.ReadClaim(w.Message(listtest.Rogue()), smime.Options{})
	if err != nil || c.List.Identifier != listtest.ListID || c.Signer != imagelist.SignerOf(c.Certificate) || c.Consistent() != nil {
		t.Fatalf("%+v, %v", c, err)
	}
	if !imagelist.Names(w.Alice.Cert, w.Alice.Endorser()) || imagelist.Names(w.Alice.Cert, w.Bob.Endorser()) {
		t.Error("Alice is not named by her own name alone")
	}
	for code, change := range map[verdict.Code]listtest.Change{
		verdict.NotSigned: listtest.NotSigned(), verdict.Signature: listtest.Tampered(), verdict.MalformedList: listtest.DuplicateKey(),
	} {
		if c, err := imagelist.ReadClaim(w.Message(change), smime.Options{}); c != nil || verdict.Of(err) != code {
			t.Errorf("%s: %v, %v", code, c, err)
		}
	}
	c, err = imagelist.ReadClaim(w.Message(listtest.NamesSomebodyElse()), smime.Options{})
	if err != nil || verdict.Of(c.Consistent()) != verdict.EndorserMismatch {
		t.Errorf("names somebody else: %v", err)
	}
}

// TestMetadataNotJSON: what was put into a list by hand is refused by whoever
// reads it next.
func TestMetadataNotJSON(t *testing.T) {
	head, image, gone := draft(), draft(), draft()
	head.Extra = []byte(`{"x" 1}`)
	image.Images[0].Metadata = []byte(`{"x":`)
	gone.Images = nil
	for name, lists := range map[string][2]*imagelist.List{
		"old head": {head, draft()}, "new head": {draft(), head}, "old image": {image, draft()}, "new image": {draft(), image}, "new image alone": {gone, image},
	} {
		if d, err := imagelist.Diff(lists[0], lists[1]); err == nil || d != nil {
			t.Errorf("%s: %v, %v", name, d, err)
		}
	}
	if out, err := head.EncodeDraft(); out != nil || err == nil || !strings.HasPrefix(err.Error(), "encode draft: extra keys") {
		t.Errorf("%s, %v", out, err)
	}
	bad := draft()
	bad.Title = "\x00"
	if out, err := bad.EncodeDraft(); out != nil || err == nil || !strings.Contains(err.Error(), "U+0000") {
		t.Errorf("%s, %v", out, err)
	}
	if _, err := image.Images[0].Set("ad:group", "g"); err == nil || !strings.HasPrefix(err.Error(), "metadata: ") {
		t.Error(err)
	}
	image.Validate() // says nothing of it: Encode does
	if e := (&imagelist.PositionError{Line: 1, Column: 2, Detail: "x"}); e.Error() != "line 1, column 2: x" {
		t.Error(e)
	}
}
