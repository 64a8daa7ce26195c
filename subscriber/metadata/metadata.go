// Package metadata is the local store: badger, its key tree, its transactions,
// its migrations and the outbox. It is the only importer of badger and owns
// every key and value layout. It knows no policy, no network and no cache path.
//
//	meta                       Meta, number and sum of the other rows
//	sub/<name>                 Subscription
//	list/<list id>             List
//	image/<list id>/<id>       Image
//	blob/<128 hex>             Blob
//	gone/<list id>/<id>/<n>    Withdrawn, n of 20 digits
//	floor/<list id>            Floor
//	owner/<image id>           list id
//	approval/<image id>        Approval
//	event/<20-digit number>    Event with the handlers that have not had it
//
// Names and identifiers are [A-Za-z0-9][A-Za-z0-9._-]*, at most 255 bytes. A
// value is an 8-byte checksum of key and text, then the text, JSON. Every
// transaction writes the meta row, with Seq one higher.
//
// On disk:
//
//	<dir>/badger/    badger's files; the directory is locked (flock)
//	<dir>/opening    why the process crashed while opening, <dir>/crashed the time before
//	<dir>/sealed     checksums of badger's files, from Close to the next Open
//
// Everything is read into memory once (Load) and written through (Update).
// What is loaded is exactly the content after one transaction, or the store
// is called damaged (ErrCorrupt) and its owner rebuilds it: whatever matters
// beyond a rebuild is also in plain files written by the subscriber (design:
// "Metadata is rebuildable"). A log that lost its end can only be seen from
// outside, by comparing Meta.Seq with a note kept elsewhere.
//
// Open and empty, the store takes 3 MB of memory; a burst of many megabytes
// of writes takes up to some hundred for half a minute.
package metadata

import (
	"time"

	"vouch/cache"
	"vouch/subscriber/event"
)

// Meta is the one row about the store itself.
type Meta struct {
	Schema     int                  `json:"schema"`
	State      string               `json:"state"`      // UUID
	Generation uint64               `json:"generation"` // of the index
	Seq        uint64               `json:"seq"`        // counts transactions; a store whose Seq is behind its seal has lost records
	NextEvent  uint64               `json:"next_event"`
	Baseline   string               `json:"baseline"`           // digest of the configuration last applied
	Trusted    time.Time            `json:"trusted"`            // newest verified CRL thisUpdate or list creation: time was at least this
	Handlers   map[string]time.Time `json:"handlers,omitempty"` // known since
	Dirs       []string             `json:"dirs,omitempty"`     // configuration directories (subscriptions.d, blocks.d) that have been there
	LastSync   time.Time            `json:"last_sync,omitzero"`
	LastExit   int                  `json:"last_exit,omitempty"` // of the last sync
	Inspected  time.Time            `json:"inspected,omitzero"`  // when the last run began that compared every blob with what vouch left
	Down       map[string]Down      `json:"down,omitempty"`      // handlers that take nothing now
	Lost       map[string]int       `json:"lost,omitempty"`      // by handler: dead letters that were more than the outbox keeps
}

// Down is a handler that takes no event, whichever it is.
type Down struct {
	Since    time.Time `json:"since"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next"`
	Error    string    `json:"error"` // of the last attempt, printable
}

// Subscription is what fetching has learned, by subscription name.
type Subscription struct {
	Name         string    `json:"name"`
	URL          string    `json:"url"`  // the validators belong to it; a changed URL drops them
	List         string    `json:"list"` // pinned identifier, "" before the first acceptance
	ETag         string    `json:"etag,omitempty"`
	LastModified string    `json:"last_modified,omitempty"`
	Attempted    time.Time `json:"attempted,omitzero"`
	Answered     time.Time `json:"answered,omitzero"` // last verified answer
	FailingSince time.Time `json:"failing_since,omitzero"`
	Unreachable  bool      `json:"unreachable,omitempty"` // list.unreachable was told
	Result       string    `json:"result,omitempty"`      // of the last attempt: contract §5
	Reason       string    `json:"reason,omitempty"`
	Detail       string    `json:"detail,omitempty"`
	Told         string    `json:"told,omitempty"` // digest and reason of the rejection already told
}

// List is an accepted list, by identifier.
type List struct {
	Entry        event.List `json:"entry"`
	Message      string     `json:"message"` // SHA-512 of the signed message, hex: evidence/<it>.smime
	Payload      string     `json:"payload"`
	NotAfter     time.Time  `json:"not_after"`          // of the signer's certificate
	Certificate  string     `json:"certificate"`        // SHA-256 of the signer's certificate
	Standing     string     `json:"standing,omitempty"` // "" good; else the code of the fact that withdrew it
	Detail       string     `json:"detail,omitempty"`
	Doubt        string     `json:"doubt,omitempty"` // code of the missing knowledge
	DoubtSince   time.Time  `json:"doubt_since,omitzero"`
	GoneSince    time.Time  `json:"gone_since,omitzero"` // anchor or policy file gone since (anchor_grace)
	ToldExpiring bool       `json:"told_expiring,omitempty"`
	ToldExpired  bool       `json:"told_expired,omitempty"`
}

// Image is one image of one list: what is published under its identifier and
// what is wanted instead. A row exists for every identifier that is
// published, held or failing.
type Image struct {
	Entry       event.Image `json:"entry"` // as published; meaningful while Published
	Published   bool        `json:"published,omitempty"`
	Message     string      `json:"message,omitempty"`   // the signed message that names the published bytes
	Name        cache.Stamp `json:"name,omitzero"`       // of endorsed/<id>, as we left it
	Available   uint64      `json:"available,omitempty"` // number of its image.available event
	AvailableAt time.Time   `json:"available_at,omitzero"`

	// Wanted but not published: the newest list's wish.
	Wanted    string            `json:"wanted,omitempty"`  // SHA-512, hex; "" when the published bytes are the wanted ones
	Version   string            `json:"version,omitempty"` // hv:version of what is wanted
	Result    string            `json:"result,omitempty"`  // failed | held, of the last run
	Reason    string            `json:"reason,omitempty"`
	Detail    string            `json:"detail,omitempty"`
	Told      string            `json:"told,omitempty"`      // digest and reason of the image.failed already told
	Tried     string            `json:"tried,omitempty"`     // payload of the list that Mismatch counts for
	Mismatch  int               `json:"mismatch,omitempty"`  // complete downloads of Wanted with other content
	Resources map[string]string `json:"resources,omitempty"` // handler -> what it made of it
}

// Blob is one content-addressed file as we left it.
type Blob struct {
	Size    int64       `json:"size"`
	Stamp   cache.Stamp `json:"stamp"`
	Checked time.Time   `json:"checked"`          // last time its bytes were hashed
	Sealed  bool        `json:"sealed,omitempty"` // mode 0400: blocked, revoked
}

// Withdrawn is one image that left, kept for cache.keep_expired.
type Withdrawn struct {
	Entry  event.Image `json:"entry"`
	Type   event.Type  `json:"type"`
	Reason string      `json:"reason"`
	Detail string      `json:"detail,omitempty"`
	At     time.Time   `json:"at"`
	Kept   string      `json:"kept,omitempty"` // expired/<id>.<timestamp>, "" when its bytes are not kept
}

// Floor is the newest ever accepted of one list; it outlives the subscription.
type Floor struct {
	List         string    `json:"list"`
	Subscription string    `json:"subscription"`
	Version      string    `json:"version"`
	Created      time.Time `json:"created"`
	Payload      string    `json:"payload"` // SHA-512 of the signed content, hex
}

// Approval lets held images through.
type Approval struct {
	Image  string    `json:"image"`
	SHA512 string    `json:"sha512,omitempty"` // "" for whatever the list names
	At     time.Time `json:"at"`
}

// Delivery is one event's way to one handler.
type Delivery struct {
	Attempts int       `json:"attempts,omitempty"`
	Next     time.Time `json:"next,omitzero"`
	Dead     bool      `json:"dead,omitempty"`
	Judged   time.Time `json:"judged,omitzero"`   // the instant at which it was too old; zero when dead for another reason
	Error    string    `json:"error,omitempty"`   // of the last attempt, printable
	Refused  int       `json:"refused,omitempty"` // attempts of which it is not known whether the event or the handler is at fault
}

// Event is an outbox row: a committed event and the handlers that still owe
// an answer. The row goes when nobody owes one. When all that is left are dead
// letters, Event may be without data, which the event log has.
type Event struct {
	Number  uint64              `json:"number"`
	Event   event.Event         `json:"event"`
	Since   time.Time           `json:"since,omitzero"`    // it cannot be older than that, whatever its time says: the clock was behind
	Pending map[string]Delivery `json:"pending,omitempty"` // by handler name
}

// Snapshot is everything, in memory.
type Snapshot struct {
	Meta      Meta
	Subs      map[string]*Subscription
	Lists     map[string]*List
	Images    map[ImageKey]*Image
	Blobs     map[cache.Digest]*Blob
	Withdrawn map[WithdrawnKey]*Withdrawn
	Floors    map[string]Floor
	Owners    map[string]string // image id -> list id
	Approvals map[string]Approval
	Events    map[uint64]*Event
}

// ImageKey names an image row.
type ImageKey struct{ List, ID string }

// WithdrawnKey names a withdrawn row; N is the event number of the withdrawal.
type WithdrawnKey struct {
	List, ID string
	N        uint64
}
