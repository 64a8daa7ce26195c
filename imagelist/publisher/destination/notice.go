package destination

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// noticeTime is how long a site may take to answer a notice.
const noticeTime = 10 * time.Second

// Notice asks a site to look at the list now. It carries no trust and no
// content: what the site then finds, it judges as ever.
type Notice struct {
	url    *url.URL
	token  string
	client *http.Client
}

// NewNotice reads what is needed: of o TokenFile, RootsFile and ClientCert.
// Errors, which have a hint, are an address that is none, and credentials that
// cannot be read or must not go there (T-29).
func NewNotice(address string, o Options) (*Notice, error) {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, refuse("notify: not an http or https URL", "such as https://site.example.org/v1/subscriptions/NAME/refresh")
	}
	if u.User != nil {
		return nil, refuse("notify: user information in the URL", "a token goes into a file: --notify-token-file")
	}
	o = Options{TokenFile: o.TokenFile, RootsFile: o.RootsFile, ClientCert: o.ClientCert}
	l, err := o.login(u)
	if err != nil {
		return nil, err
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	transport.DisableKeepAlives = true
	return &Notice{u, l.token, &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Send asks, once. Nothing of the answer but its status is read, and nothing of
// the address but its host is in an error.
func (n *Notice) Send(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, noticeTime)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url.String(), nil)
	if err != nil {
		return fmt.Errorf("notify: %w", err)
	}
	if n.token != "" {
		request.Header.Set("Authorization", "Bearer "+n.token)
	}
	answer, err := n.client.Do(request)
	if err != nil {
		if failed, ok := errors.AsType[*url.Error](err); ok {
			err = failed.Err // without the address, whose query may be a secret
		}
		if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
			err = fmt.Errorf("%w: --roots names the CAs that may vouch for it", err)
		}
		if strings.HasSuffix(err.Error(), "tls: certificate required") { // an alert of a type that has no name
			err = fmt.Errorf("%w: --client-cert shows yours", err)
		}
		return fmt.Errorf("notify: %s: %w", n.url.Host, err)
	}
	answer.Body.Close()
	switch {
	case answer.StatusCode == http.StatusTooManyRequests:
		return nil // it was told within the last seconds, and looks already
	case answer.StatusCode/100 != 2:
		return fmt.Errorf("notify: %s answers %d%s", n.url.Host, answer.StatusCode, meaning[answer.StatusCode])
	}
	return nil
}

// meaning is what vouch means by a status.
var meaning = map[int]string{
	401: ", it wants a token that it knows: --notify-token-file",
	403: ", it takes no notices, or no tokens over http",
	404: ", it has no subscription of this name",
}
