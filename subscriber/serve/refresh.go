package serve

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"vouch/subscriber/secret"
)

// Limits of refreshing. What is beyond them is not lost to anybody: the list is
// looked at within seconds for the one that came first.
const (
	refreshEvery = 10 * time.Second // of one subscription
	refreshBurst = 30               // of all of them at once, and then one a second
	handOver     = 5 * time.Second
)

// limits holds back who asks too often.
type limits struct {
	mu   sync.Mutex
	all  *rate.Limiter
	each map[string]*rate.Limiter // of subscriptions that exist
}

// take is zero when a refresh may be made now, else how long to wait.
func (l *limits) take(name string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.each == nil {
		l.all, l.each = rate.NewLimiter(1, refreshBurst), map[string]*rate.Limiter{}
	}
	one := l.each[name]
	if one == nil {
		one = rate.NewLimiter(rate.Every(refreshEvery), 1)
		l.each[name] = one
	}
	var taken []*rate.Reservation
	for _, limiter := range []*rate.Limiter{one, l.all} {
		r := limiter.ReserveN(now, 1)
		taken = append(taken, r)
		if wait := r.DelayFrom(now); wait > 0 {
			for _, r := range taken {
				r.CancelAt(now)
			}
			return wait
		}
	}
	return 0
}

type refreshed struct {
	Schema       string    `json:"schema"`
	Subscription string    `json:"subscription"`
	Asked        time.Time `json:"asked"`
}

// refresh makes the next look at a list immediate. Nothing of what is sent is
// read but the name and the token.
func (s *Server) refresh(w http.ResponseWriter, r *http.Request) *problem {
	c := s.conf.Load()
	if p := s.authorise(c, r); p != nil {
		return p
	}
	name, now := r.PathValue("name"), time.Now()
	if !slices.Contains(c.Subscriptions, name) {
		return refuse(404, "unknown-subscription", "There is no such subscription", "the name is that of the site's configuration: vouch subscription ls", "")
	}
	if wait := s.limits.take(name, now); wait > 0 {
		p := refuse(429, "too-often", "Asked too often", "the list is being looked at, or was just now", "")
		p.retry = wait
		return p
	}
	select {
	case s.Refresh <- name: // nil is never ready
	case <-time.After(handOver):
		p := refuse(503, "busy", "The daemon is busy", "", "")
		p.retry = handOver
		return p
	case <-r.Context().Done():
		return nil
	}
	s.Log.Info("refresh asked for", "subscription", name, "from", r.RemoteAddr)
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusAccepted)
	w.Write(append(printable(refreshed{"vouch/refresh/v1", name, now.UTC().Truncate(time.Second)}), '\n'))
	return nil
}

// authorise asks for a token.
func (s *Server) authorise(c *Config, r *http.Request) *problem {
	if c.TokenFile == "" {
		return refuse(403, "read-only", "This site is read-only", "http.token_file in its configuration names who may ask", "")
	}
	if r.TLS == nil && !loopback(r.RemoteAddr) {
		return refuse(403, "insecure", "Tokens are not taken over plain HTTP", "use https, and another token: this one was sent for all to read", "")
	}
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return refuse(401, "token", "A token is needed", "Authorization: Bearer …", "")
	}
	known, err := readTokens(c.TokenFile)
	if err != nil {
		s.Log.Error("HTTP interface: refresh refused", "error", err)
		return refuse(503, "token", "Tokens cannot be checked now", "the daemon's log says more", "")
	}
	have, good := sha256.Sum256([]byte(strings.TrimSpace(token))), 0
	for _, want := range known {
		good |= subtle.ConstantTimeCompare(have[:], want[:])
	}
	if good != 1 {
		return refuse(401, "token", "This token is not known here", "", "")
	}
	return nil
}

const (
	shortestToken = 16      // keeps guessing hopeless
	maxSecret     = 1 << 20 // bytes of a file with tokens or a key
)

// readTokens reads a file of tokens, one a line after an optional name, and
// returns their digests. Nothing of it is in an error but the line's number.
func readTokens(file string) ([][sha256.Size]byte, error) {
	text, err := secret.Read(file, maxSecret)
	if err != nil {
		return nil, fmt.Errorf("http: token_file: %w", err)
	}
	var all [][sha256.Size]byte
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		token := words[len(words)-1]
		if len(words) > 2 || len(token) < shortestToken {
			return nil, startError("a line is a token of at least 16 characters, or a name and a token: openssl rand -hex 32 makes one", "http: token_file: %s:%d: no token", file, n)
		}
		all = append(all, sha256.Sum256([]byte(token)))
	}
	if len(all) == 0 {
		return nil, startError("openssl rand -hex 32 makes one", "http: token_file: %s: no token in it", file)
	}
	return all, nil
}
