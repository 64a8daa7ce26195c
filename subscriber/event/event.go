// Package event is what a site's other programs hear: event types, CloudEvents
// payloads, the VMCATCHER_* mapping, handlers and the event log.
//
// It owns names, payloads, delivery and its timeout. It does not know how a
// decision was reached. Legacy spellings live only here.
//
// An event is rendered by New from a committed fact, written to the log by
// Log.Append, and told to each Handler by Deliver: at least once, so each of
// the three may be repeated for the same event. When to try, in which order
// and when to give up is the caller's.
//
// What a list says reaches a handler in the environment and as JSON on
// standard input, never as a word of a command (T-44); what a handler does can
// cost at most its timeout and two seconds (F-15).
package event

import (
	"encoding/json"
	"time"
)

// Type is an event's name (contract §6).
type Type string

// The event types.
const (
	SyncStarted  Type = "sync.started"
	SyncFinished Type = "sync.finished"

	ListAccepted    Type = "list.accepted"
	ListRejected    Type = "list.rejected"
	ListUnreachable Type = "list.unreachable"
	ListExpiring    Type = "list.expiring"
	ListExpired     Type = "list.expired"

	ImageAnnounced  Type = "image.announced"
	ImageAvailable  Type = "image.available"
	ImageUpdated    Type = "image.updated"
	ImageSuperseded Type = "image.superseded"
	ImageExpired    Type = "image.expired"
	ImageRevoked    Type = "image.revoked"
	ImageBlocked    Type = "image.blocked"
	ImageDeselected Type = "image.deselected"
	ImageCorrupt    Type = "image.corrupt"
	ImageFailed     Type = "image.failed"
)

// Image is an image as index.json and events show it (contract §3). Text that
// the list does not have is "".
type Image struct {
	Identifier     string          `json:"identifier"`
	List           string          `json:"list"`
	Subscription   string          `json:"subscription"`
	Title          string          `json:"title"`
	Description    string          `json:"description"`
	Version        string          `json:"version"`
	OS             string          `json:"os"`
	OSVersion      string          `json:"os_version"`
	Arch           string          `json:"arch"`
	Hypervisor     string          `json:"hypervisor"`
	Format         string          `json:"format"`
	Size           int64           `json:"size"`
	SHA512         string          `json:"sha512"`
	URI            string          `json:"uri"`
	VO             string          `json:"vo"` // the list's ad:vo
	MPURI          string          `json:"mpuri"`
	Path           string          `json:"path"`
	Blob           string          `json:"blob"`
	AvailableSince time.Time       `json:"available_since"`
	Expires        time.Time       `json:"expires"` // earliest of list, image and signer's certificate
	Stale          bool            `json:"stale,omitzero"`
	Metadata       json.RawMessage `json:"metadata"`
}

// Endorser is who vouches.
type Endorser struct {
	DN string `json:"dn"`
	CA string `json:"ca"`
}

// List is a list as index.json and events show it (contract §3).
type List struct {
	Identifier   string    `json:"identifier"`
	Subscription string    `json:"subscription"`
	Title        string    `json:"title"`
	Version      string    `json:"version"`
	VO           string    `json:"vo"`
	URI          string    `json:"uri"`
	Created      time.Time `json:"created"`
	Expires      time.Time `json:"expires"`
	Verified     time.Time `json:"verified"`
	Message      string    `json:"message"`
	Endorser     Endorser  `json:"endorser"`
}

// ImageData is the data of image.* events: the entry, plus.
type ImageData struct {
	Image
	Reason       string     `json:"reason,omitempty"` // a verdict code, or removed, deselected, superseded, corrupt
	Detail       string     `json:"detail,omitempty"`
	Replaces     string     `json:"replaces,omitempty"`      // available: SHA-512 of the bytes it replaces
	SupersededBy string     `json:"superseded_by,omitempty"` // superseded: SHA-512 of the bytes that replace it
	Changed      []string   `json:"changed,omitempty"`       // updated: metadata keys
	Kept         string     `json:"kept,omitempty"`          // withdrawn: expired/… (relative to the cache)
	Revocation   string     `json:"revocation,omitempty"`    // the endorser's reason from vouch:revoked
	RevokedAt    *time.Time `json:"revoked_at,omitempty"`
	ListVersion  string     `json:"list_version,omitempty"`
	ListExpires  time.Time  `json:"list_expires,omitzero"`
	Endorser     *Endorser  `json:"endorser,omitempty"`
}

// ListData is the data of list.* events.
type ListData struct {
	Subscription string `json:"subscription"`
	URL          string `json:"url"` // redacted
	Reason       string `json:"reason,omitempty"`
	Detail       string `json:"detail,omitempty"`
	List         *List  `json:"list,omitempty"` // the last good one
}

// SyncData is the data of sync.* events.
type SyncData struct {
	Session string `json:"session"`
	Exit    *int   `json:"exit,omitempty"`
}

// Event is one committed fact, in CloudEvents 1.0 JSON form.
type Event struct {
	SpecVersion string          `json:"specversion"` // "1.0"
	ID          string          `json:"id"`          // <state id>-<number>
	Source      string          `json:"source"`      // urn:uuid:<state id>
	Type        Type            `json:"type"`
	Subject     string          `json:"subject,omitempty"` // image or list identifier
	Time        time.Time       `json:"time"`
	ContentType string          `json:"datacontenttype"` // application/json
	Data        json.RawMessage `json:"data"`
}

// Bare says that e has no data: it is a stub of an event that is in the log.
func (e Event) Bare() bool { return len(e.Data) == 0 || string(e.Data) == "null" }

// Handler is one configured receiver (contract §2, "handlers").
type Handler struct {
	Name      string
	Exec      []string // argv, no shell
	Shell     string   // /bin/sh -c STRING
	Sender    Sender   // one of Exec, Shell and Sender
	VMCatcher bool
	Events    []string // globs; empty = default
	MaxAge    time.Duration
	FromNow   bool // start: now
	Timeout   time.Duration
	Env       map[string]string
	EnvFile   string
	User      string
}

// Place is what a handler is told of its surroundings.
type Place struct {
	CacheDir string // absolute
	StateDir string // absolute
	Session  string // UUID of the run
}

// Receipt is what a handler answered.
type Receipt struct {
	Resource string // from {"resource":"…"} on its standard output; "" if none
}
