package subscriber

import (
	"time"

	"vouch/cache"
)

// Status is the snapshot that people and middleware read while the metadata is
// held by a run: <state_dir>/status.json, atomically replaced (contract §1,
// vouch/status/v1). Images leave out their metadata: index.json has it.
type Status struct {
	Schema        string               `json:"schema"`
	State         string               `json:"state"`
	Generated     time.Time            `json:"generated"`
	Generation    uint64               `json:"generation"`
	LastSync      time.Time            `json:"last_sync,omitzero"`
	LastExit      int                  `json:"last_exit"`
	Subscriptions []SubscriptionStatus `json:"subscriptions"`
	Images        []ImageStatus        `json:"images"`
	Withdrawn     []WithdrawnStatus    `json:"withdrawn"`
	Handlers      []HandlerStatus      `json:"handlers"`
	Deliveries    []DeliveryStatus     `json:"deliveries"` // oldest first, of the pending and of the dead at most 1000
	Trust         TrustStatus          `json:"trust"`
	Cache         CacheStatus          `json:"cache"`
	Problems      []Problem            `json:"problems"`
	Blocks        string               `json:"blocks"`        // BlocksDigest of what was acted on
	Next          time.Time            `json:"next,omitzero"` // when the calendar alone changes something: a list or image expires, a grace or a block ends

	// Inspected is when the last run began that compared every blob with what
	// vouch left and hashed again what was different: a blob whose ctime is
	// older has the bytes that its name says (T-27).
	Inspected time.Time `json:"inspected,omitzero"`
}

// SubscriptionStatus is one subscription as of the snapshot.
type SubscriptionStatus struct {
	Name         string    `json:"name"`
	URL          string    `json:"url"` // redacted
	List         string    `json:"list"`
	Title        string    `json:"title"`
	Version      string    `json:"version"`
	State        string    `json:"state"` // ok | stale | rejected | unreachable | expired | withdrawn | new | removed
	Reason       string    `json:"reason"`
	Detail       string    `json:"detail"`
	Created      time.Time `json:"created,omitzero"`
	Expires      time.Time `json:"expires,omitzero"` // earliest of list and signer's certificate
	Verified     time.Time `json:"verified,omitzero"`
	Attempted    time.Time `json:"attempted,omitzero"`
	FailingSince time.Time `json:"failing_since,omitzero"`
	EndorserDN   string    `json:"endorser_dn"`
	EndorserCA   string    `json:"endorser_ca"`
	CRLMade      time.Time `json:"crl_made,omitzero"` // thisUpdate of the oldest CRL that the list's signature rests on
	CRLDue       time.Time `json:"crl_due,omitzero"`  // the first nextUpdate of them; both are zero while the signature does not hold
	Images       int       `json:"images"`            // in the list
	Available    int       `json:"available"`         // published
	Pending      int       `json:"pending"`           // wanted, failed or held
	Weaker       []string  `json:"weaker,omitempty"`  // settings weaker than the default (T-15)
}

// ImageStatus is one image of one list as of the snapshot.
type ImageStatus struct {
	Identifier   string            `json:"identifier"`
	List         string            `json:"list"`
	Subscription string            `json:"subscription"`
	Title        string            `json:"title"`
	Version      string            `json:"version"`
	State        string            `json:"state"` // available | stale | pending | failed | held | refused | blocked | expired
	Reason       string            `json:"reason,omitempty"`
	Detail       string            `json:"detail,omitempty"`
	SHA512       string            `json:"sha512"`
	Size         int64             `json:"size"`
	OS           string            `json:"os"`
	Arch         string            `json:"arch"`
	Format       string            `json:"format"`
	Expires      time.Time         `json:"expires,omitzero"`
	Since        time.Time         `json:"since,omitzero"` // available since
	Wanted       string            `json:"wanted,omitempty"`
	Resources    map[string]string `json:"resources,omitempty"`
}

// WithdrawnStatus is one image that left.
type WithdrawnStatus struct {
	Identifier   string    `json:"identifier"`
	List         string    `json:"list"`
	Subscription string    `json:"subscription"`
	Title        string    `json:"title"`
	Version      string    `json:"version"`
	SHA512       string    `json:"sha512"`
	Type         string    `json:"type"`
	Reason       string    `json:"reason"`
	Detail       string    `json:"detail"`
	At           time.Time `json:"at"`
	Kept         string    `json:"kept"`
}

// HandlerStatus sums up one handler.
type HandlerStatus struct {
	Name    string    `json:"name"`
	Pending int       `json:"pending"`
	Dead    int       `json:"dead"`
	Oldest  time.Time `json:"oldest,omitzero"` // event time of the oldest pending
	Next    time.Time `json:"next,omitzero"`   // when the daemon tries again; in the past: at once
	Down    time.Time `json:"down,omitzero"`   // takes nothing since
	Error   string    `json:"error,omitempty"` // of an attempt, while it takes nothing or an event that failed waits
	Full    float64   `json:"full,omitempty"`  // of what may wait: at 1 the least important of the oldest are given up
	Lost    int       `json:"lost,omitempty"`  // dead letters that were too many: only events.jsonl has them
}

// DeliveryStatus is one event that a handler has not had.
type DeliveryStatus struct {
	Event    string    `json:"event"` // event id
	Type     string    `json:"type"`
	Subject  string    `json:"subject"`
	Handler  string    `json:"handler"`
	Time     time.Time `json:"time"`
	Attempts int       `json:"attempts"`
	Next     time.Time `json:"next,omitzero"`
	Dead     bool      `json:"dead"`
	Error    string    `json:"error"`
}

// TrustStatus sums up the trust directory.
type TrustStatus struct {
	Path    string `json:"path"`
	Anchors int    `json:"anchors"`
	CRLs    int    `json:"crls"`
	Error   string `json:"error,omitempty"`
}

// CacheStatus sums up the cache.
type CacheStatus struct {
	Path    string      `json:"path"`
	Usage   cache.Usage `json:"usage"`
	MaxSize int64       `json:"max_size"`
	Free    uint64      `json:"free"`
	Total   uint64      `json:"total"`
	Foreign []string    `json:"foreign,omitempty"`
	Checked time.Time   `json:"checked,omitzero"` // when the blob was hashed that was not hashed for longest
}
