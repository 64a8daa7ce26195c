package serve

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"vouch/subscriber/event"
)

// problem is an answer that is not what was asked for (RFC 9457). It is an
// error only in order to travel.
type problem struct {
	Type   string `json:"type"` // urn:vouch:problem:<word>
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Hint   string `json:"hint,omitempty"`

	Image  string     `json:"image,omitempty"`
	List   string     `json:"list,omitempty"`
	State  string     `json:"state,omitempty"`  // of an image that is not published: pending, failed, held, refused, expired, blocked, withdrawn
	Reason string     `json:"reason,omitempty"` // a verdict code, or removed, deselected, superseded, corrupt
	At     *time.Time `json:"at,omitempty"`     // when it was withdrawn
	Lists  []string   `json:"lists,omitempty"`  // to choose from

	retry time.Duration // Retry-After
	allow string        // Allow
}

func (p *problem) Error() string { return p.Title }

// refuse makes a problem; word names its kind for ever.
func refuse(status int, word, title, hint, detail string, args ...any) *problem {
	return &problem{Type: "urn:vouch:problem:" + word, Title: title, Status: status, Detail: fmt.Sprintf(detail, args...), Hint: hint}
}

// stopping is the answer to what comes while the server ends.
func stopping() *problem {
	p := refuse(http.StatusServiceUnavailable, "stopping", "The service is stopping", "ask again when it is back", "")
	p.retry = 10 * time.Second
	return p
}

// write sends the problem.
func (p *problem) write(w http.ResponseWriter) {
	h := w.Header()
	for _, name := range []string{"ETag", "Repr-Digest", "Content-Disposition", "Content-Length", "Accept-Ranges"} {
		h.Del(name) // of what would have been sent
	}
	if p.retry > 0 {
		h.Set("Retry-After", strconv.Itoa(int((p.retry+time.Second-1)/time.Second)))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="vouch"`)
	}
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	body, _ := json.Marshal(p) // always marshals
	w.Write(append(event.PrintableJSON(body), '\n'))
}
