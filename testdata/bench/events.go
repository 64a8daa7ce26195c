package main

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// events is a new webhook that is told of all images of a site, then one that
// is away for a day.
func (b *bench) events() error {
	s, err := b.populated(0)
	if err != nil {
		return err
	}
	plain, err := os.ReadFile(s.config)
	if err != nil {
		return err
	}
	defer os.WriteFile(s.config, plain, 0o644) // others measure this site too
	var times []cost
	var peak int64
	for round := range b.rounds {
		r, err := receive(filepath.Join(s.dir, "secret"))
		if err != nil {
			return err
		}
		// A handler that is new is told of everything.
		config := fmt.Sprintf("%shandlers: [{name: hook-%d, events: [image.available], webhook: {url: %q, secret_file: %s}}]\n", plain, round, r.url, r.file)
		if err := os.WriteFile(s.config, []byte(config), 0o644); err != nil {
			return err
		}
		c, err := s.run("sync")
		r.server.Close()
		if err = cmp.Or(err, r.wrong); err != nil {
			return err
		}
		if r.count != lists*perList {
			return fmt.Errorf("%d events arrived", r.count)
		}
		c.wall = r.last.Sub(r.first)
		progress("round %d of %d, first to last event: %v", round+1, b.rounds, c)
		times, peak = append(times, c), max(peak, c.peak)
	}
	rate := float64(lists*perList) / median(times, func(c cost) time.Duration { return c.wall }).Seconds()
	b.add(rate >= 500, "10000 events through a webhook, in order, signed: per second", ">= 500", "%.0f, %d MiB", rate, peak>>20)
	return b.outage()
}

// receiver checks the order, the signature and the id of what it gets.
type receiver struct {
	url, file   string
	server      *http.Server
	key         []byte
	count       int
	number      int // of the last event
	first, last time.Time
	wrong       error // the first thing
}

func receive(file string) (*receiver, error) {
	r := &receiver{file: file, key: []byte("what only two may know, 32 bytes")}
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString(r.key)), 0o600); err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r.url, r.server = "http://"+l.Addr().String()+"/", &http.Server{Handler: r}
	go r.server.Serve(l)
	return r, nil
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		err = r.check(req.Header, body)
	}
	if err != nil && r.wrong == nil {
		r.wrong = err
	}
	if r.last = time.Now(); r.count == 0 {
		r.first = r.last
	}
	r.count++
	w.WriteHeader(http.StatusNoContent)
}

func (r *receiver) check(h http.Header, body []byte) error {
	id, stamp := h.Get("Webhook-Id"), h.Get("Webhook-Timestamp")
	mac := hmac.New(sha256.New, r.key)
	fmt.Fprintf(mac, "%s.%s.%s", id, stamp, body)
	var e struct{ ID string }
	if err := json.Unmarshal(body, &e); err != nil {
		return err
	}
	n, _ := strconv.Atoi(id[strings.LastIndexByte(id, '-')+1:])
	switch {
	case h.Get("Webhook-Signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)):
		return errors.New("wrong signature")
	case e.ID != id:
		return errors.New("another id in the body")
	case n <= r.number:
		return fmt.Errorf("event %d after %d", n, r.number)
	}
	r.number = n
	return nil
}

// outage is the test of a day without the endpoint, with 10,000 events.
func (b *bench) outage() error {
	progress("a day without the endpoint")
	cmd := exec.CommandContext(b.ctx, "go", "test", "-count=1", "-v", "-run", "^TestF16_DayWithoutWebhook$", "./subscriber")
	cmd.Env = append(os.Environ(), fmt.Sprintf("VOUCH_OUTAGE=%d", lists*perList))
	out, err := cmd.CombinedOutput()
	m := regexp.MustCompile(`outage: (\d+) events, (\d+) attempts, heap (\d+) then (\d+) KiB`).FindStringSubmatch(string(out))
	if m == nil {
		return fmt.Errorf("%w: %s", cmp.Or(err, errors.New("no result")), tail(out))
	}
	b.add(err == nil, "a day's outage with "+m[1]+" events: nothing lost or twice, heap between passes", "<= 1.5 times", "%s attempts, %s KiB then %s KiB", m[2], m[3], m[4])
	return nil
}
