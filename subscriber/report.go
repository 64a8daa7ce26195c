package subscriber

import (
	"time"

	"vouch/imagelist/verdict"
)

// Report is what one sync did (contract §5, vouch/report/v1).
type Report struct {
	Schema     string        `json:"schema"`
	Started    time.Time     `json:"started"`
	Finished   time.Time     `json:"finished"`
	Generation uint64        `json:"generation"`
	Lists      []ListResult  `json:"lists"`
	Images     []ImageResult `json:"images"`
	Events     EventCount    `json:"events"`
	DryRun     bool          `json:"dry_run,omitempty"`
	Download   int64         `json:"download"`            // bytes downloaded, or with DryRun to be downloaded
	HeldBack   []ImageResult `json:"held_back,omitempty"` // withdrawals of a configuration change that wait for --accept-withdrawals
	Problems   []Problem     `json:"problems,omitempty"`  // what is wrong beside lists and images
	Exit       int           `json:"exit"`
}

// ListResult is the outcome for one subscription.
type ListResult struct {
	Subscription string       `json:"subscription"`
	Identifier   string       `json:"identifier"`
	Version      string       `json:"version"`
	Result       string       `json:"result"` // accepted | unchanged | rejected | unreachable | expired
	Reason       verdict.Code `json:"reason"`
	Detail       string       `json:"detail"`
}

// ImageResult is the outcome for one image.
type ImageResult struct {
	Subscription string `json:"subscription"`
	Identifier   string `json:"identifier"`
	Version      string `json:"version"`
	Result       string `json:"result"` // available | unchanged | updated | failed | withdrawn | held
	Reason       string `json:"reason"`
	Detail       string `json:"detail"`
	Downloaded   int64  `json:"downloaded"`
	ResumedFrom  int64  `json:"resumed_from"`
}

// EventCount is what happened to events in one run.
type EventCount struct {
	Emitted   int `json:"emitted"`
	Delivered int `json:"delivered"`
	Pending   int `json:"pending"`
	Dead      int `json:"dead"` // new dead letters
}

// Problem is one thing that is wrong, where, and what to do.
type Problem struct {
	Severity string    `json:"severity"` // warning | critical
	Subject  string    `json:"subject"`  // what it is about: a subscription, an image, trust, cache, a handler
	Code     string    `json:"code"`     // a verdict code or a word of the README
	Detail   string    `json:"detail"`
	Since    time.Time `json:"since,omitzero"`
	Hint     string    `json:"hint"`
}
