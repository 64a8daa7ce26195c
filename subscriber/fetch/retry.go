package fetch

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// maxRetryAfter caps what a server may wish for.
const maxRetryAfter = time.Hour

// retry runs f up to tries times. Only a Temporary error is tried again, after
// a pause that doubles, is jittered and is not shorter than the server's
// Retry-After; fits says whether there is time for a pause. The last error is
// returned.
func (c *Client) retry(ctx context.Context, tries int, fits func(time.Duration) bool, f func() error) error {
	for try := 1; ; try++ {
		err := f()
		var e *Error
		if err == nil || try >= tries || !errors.As(err, &e) || !e.Temporary {
			return err
		}
		wait := max(backoff(c.pace.pause, try), e.RetryAfter)
		if !fits(wait) || !sleep(ctx, wait) {
			return err
		}
	}
}

// backoff is between half and one and a half times pause·2^(try-1).
func backoff(pause time.Duration, try int) time.Duration {
	d := pause << (try - 1)
	return d/2 + rand.N(d+1)
}

// sleep reports whether it could sleep to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// retryAfter reads the header of RFC 9110 §10.2.3. A date is measured from the
// answer's own Date, so that no two clocks are compared. Nonsense and the past
// are 0.
func retryAfter(h http.Header) time.Duration {
	text := strings.TrimSpace(h.Get("Retry-After"))
	var d time.Duration
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		d = time.Duration(min(max(n, 0), int64(maxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		sent, err := http.ParseTime(h.Get("Date"))
		if err != nil {
			return 0
		}
		d = at.Sub(sent)
	} else if text != "" && allOf(text, "0123456789") {
		d = maxRetryAfter // more digits than a number has
	}
	return min(max(d, 0), maxRetryAfter)
}
