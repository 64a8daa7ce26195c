package publisher

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Notify asks a site to look at the list now. It carries no trust and no
// content: what the site then finds, it judges as ever. Nothing of the answer
// but its status is read.
func Notify(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return fmt.Errorf("notify: not an http or https URL")
	}
	if u.User != nil {
		return fmt.Errorf("notify: user information in the URL")
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, address, nil)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	client := &http.Client{
		Transport:     &http.Transport{Proxy: nil, DisableCompression: true, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	answer, err := client.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address, whose query may be a secret
		}
		return fmt.Errorf("notify: %s: %w", u.Host, err)
	}
	answer.Body.Close()
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("notify: %s answers %d", u.Host, answer.StatusCode)
	}
	return nil
}
