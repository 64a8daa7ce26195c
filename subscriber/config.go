package subscriber

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io/fs"
	"net/netip"
	"time"

	"vouch/cache"
	"vouch/imagelist"
	"vouch/imagelist/trust"
	"vouch/subscriber/event"
)

// Config is a site's whole intent: the configuration file with its
// subscriptions.d and blocks.d (contract §2). It is read by cmd/vouch, which
// owns the file format; here it is only data, already checked for form.
type Config struct {
	StateDir      string
	EvidenceKeep  time.Duration
	Cache         CacheConfig
	Trust         TrustConfig
	Fetch         FetchConfig
	Subscriptions []Subscription // configuration order, then subscriptions.d by name
	Handlers      []event.Handler
	Blocks        []Block

	// Dirs are the .d directories that exist. One that was there in an earlier
	// run and is gone now stops everything: an unmounted file system must not
	// look like an administrator who removed all subscriptions.
	Dirs []string

	// Reload reads blocks.d again, so that a block written while a run is
	// downloading takes effect within seconds. Nil: blocks do not change.
	Reload func() ([]Block, error)
}

// CacheConfig is the "cache" section.
type CacheConfig struct {
	Dir         string
	MaxSize     int64   // bytes; 0 = none
	MinFree     int64   // bytes to leave free; used when MinFreePart is 0
	MinFreePart float64 // part of the file system to leave free, 0..1
	KeepExpired time.Duration
	CheckEvery  time.Duration
	Publish     cache.Mode
	GID         int // -1: none configured
	Mode        fs.FileMode
}

// TrustConfig is the "trust" section.
type TrustConfig struct {
	Anchors       string
	CRL           trust.Mode
	CRLGrace      time.Duration
	SigningPolicy trust.Mode
	AnchorGrace   time.Duration
	OutageGrace   time.Duration
}

// FetchConfig is the "fetch" section.
type FetchConfig struct {
	Concurrency   int
	PerHost       int
	IdleTimeout   time.Duration
	MinRate       int64 // bytes per second
	AlarmAfter    time.Duration
	MaxListSize   int64
	MaxListAge    time.Duration // 0 = none
	AllowNetworks []netip.Prefix
	TLS           string // system | anchors | both
	Proxy         string
}

// Subscription is a site's wish to follow one list, and whom it lets speak for it.
type Subscription struct {
	Name         string
	URL          string
	List         imagelist.ListID // "" = pinned by the first accepted list
	Endorsers    []imagelist.Authorised
	Schedule     string
	UsernameFile string
	PasswordFile string
	Include      []Selector // nil = all
	Exclude      []Selector
	HoldNew      bool // images.new: hold
	HoldUpdates  bool // images.updates: hold
	AnyPurpose   bool
	AllowSHA1    bool
	Binary       bool
}

// Selector matches an image when every field that is set matches: identifier
// and sha512 exactly, the others without case, title as a glob.
type Selector struct {
	Identifier string
	SHA512     string
	Title      string
	OS         string
	Arch       string
	Format     string
	Hypervisor string
}

// Block is a site's refusal of something known or not yet known (policy O7).
// Exactly one of Image, SHA512, Endorser, Cert and List is set.
type Block struct {
	Image    string    `json:"image,omitempty"`
	SHA512   string    `json:"sha512,omitempty"` // lower-case hex
	Endorser string    `json:"endorser,omitempty"`
	CA       string    `json:"ca,omitempty"`   // with Endorser
	Cert     string    `json:"cert,omitempty"` // SHA-256 of the certificate, lower-case hex
	List     string    `json:"list,omitempty"`
	Reason   string    `json:"reason"`
	Until    time.Time `json:"until,omitzero"`
	File     string    `json:"-"` // where it was read from
}

// BlocksDigest names a set of blocks: a run acknowledges in the status which
// one it has acted on.
func BlocksDigest(blocks []Block) string {
	data, _ := json.Marshal(blocks)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// ActiveAt reports whether the block counts at an instant.
func (b Block) ActiveAt(at time.Time) bool { return b.Until.IsZero() || at.Before(b.Until) }
