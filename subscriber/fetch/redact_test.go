package fetch

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestT29_Redact(t *testing.T) {
	tests := []struct{ raw, want string }{
		{"https://example.org/a/list", "https://example.org/a/list"},
		{"https://user:secret@example.org:8443/a", "https://example.org:8443/a"},
		{"https://secret@example.org/", "https://example.org/"},
		{"https://example.org/?token=secret&b=secret#secret", "https://example.org/?token=***&b=***"},
		{"https://example.org/?secret", "https://example.org/?***"},
		{"https://example.org/?secret;a=secret", "https://example.org/?***;a=***"},
		{"https://example.org/?sec%72et=secret", "https://example.org/?***"},
		{"https://example.org/?a[]=secret=secret", "https://example.org/?a[]=***"},
		{"https://example.org/\u202e\u00e9", "https://example.org/%E2%80%AE%C3%A9"},
		{"mailto:secret", "mailto:***"},
		{"https://user:secret", "(not a URL)"},
		{"https://example.org/\x1b[secret", "(not a URL)"},
		{"", ""},
	}
	for _, tt := range tests {
		if got := Redact(tt.raw); got != strings.ReplaceAll(tt.want, ";", "&") {
			t.Errorf("%q: %q, want %q", tt.raw, got, tt.want)
		}
	}
}

// TestT29_Canary runs every fault with secrets wherever they can be, and looks
// for them in each error and at each host that they are not meant for.
func TestT29_Canary(t *testing.T) {
	const canary = "CANARY-SECRET"
	s := newFaultServer(t, size)
	var foreign []*http.Request
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		foreign = append(foreign, r)
		w.WriteHeader(http.StatusForbidden)
	}))
	defer other.Close()
	patient := quick(t, Config{AllowNetworks: prefixes("127.0.0.0/8")})
	patient.pace.patience, patient.dog.window = 1e6, 1e8
	hasty := quick(t, Config{AllowNetworks: prefixes("127.0.0.0/8"), IdleTimeout: 20e6}) // for those that keep it waiting
	hasty.pace.patience = 1e6

	arg := map[string]string{"status": "503", "redirect": "302", "hops": "6", "headers": "70000"}
	for fault := range faults {
		c := patient
		if fault == "mute" || fault == "stall" {
			c = hasty
		}
		o := Origin{URL: s.URL + "/f/" + fault + "/" + cmp.Or(arg[fault], "5000") + "/?token=" + canary, Username: "user" + canary, Password: "pass" + canary}
		if fault == "to" {
			o.URL += "&u=" + url.QueryEscape(other.URL+"/?signature="+canary)
		}
		_, listErr := c.Document(context.Background(), o, Doc{Tries: 1, MaxSize: size})
		_, imageErr := c.Image(context.Background(), o, Source{URI: o.URL, Size: size}, &memory{})
		for _, err := range []error{listErr, imageErr} {
			for ; err != nil; err = errors.Unwrap(err) {
				if strings.Contains(err.Error(), "CANARY") {
					t.Errorf("%s: %v", fault, err)
				}
			}
		}
	}
	for _, raw := range []string{"http://u:" + canary + "@h/", "http://u:" + canary, "http://h:" + canary + "/", "\x00" + canary, "http://h/%zz" + canary} {
		_, err := patient.Document(context.Background(), Origin{URL: raw}, Doc{})
		if err == nil || strings.Contains(err.Error(), canary) {
			t.Errorf("%q: %v", raw, err)
		}
	}
	if len(foreign) == 0 {
		t.Fatal("the redirect to another port was not followed")
	}
	for _, r := range foreign {
		if r.Header.Get("Authorization") != "" || r.Header.Get("Referer") != "" {
			t.Errorf("another port was told %v", r.Header)
		}
	}
	user, pass, ok := s.seen()[0].BasicAuth()
	if !ok || user != "user"+canary || pass != "pass"+canary {
		t.Error("the origin itself was not told the credentials")
	}
}

// TestT29_Trusted is the rule for credentials, one condition at a time.
func TestT29_Trusted(t *testing.T) {
	tests := []struct {
		proxy, origin, url string
		want               bool
	}{
		{"", "https://a.example/list", "https://a.example/image", true},
		{"", "https://a.example/list", "https://A.example:443/image", true},
		{"", "https://a.example/list", "https://a.example:444/image", false},
		{"", "https://a.example/list", "https://b.example/image", false},
		{"", "https://a.example/list", "http://a.example:443/image", false},
		{"", "http://a.example/list", "http://a.example/image", false},
		{"", "http://127.0.0.1/list", "http://127.0.0.1/image", true},
		{"", "http://[::1]/list", "http://[0::1]/image", true},
		{"", "http://localhost/list", "http://localhost/image", true},
		{"", "http://10.0.0.1/list", "http://10.0.0.1/image", false},
		{"", "file:///list", "https://a.example/image", false},
		{"http://127.0.0.1:3128", "http://127.0.0.1/list", "http://127.0.0.1/image", true},
		{"http://10.0.0.1:3128", "http://127.0.0.1/list", "http://127.0.0.1/image", false},
		{"http://10.0.0.1:3128", "https://a.example/list", "https://a.example/image", true},
	}
	for _, tt := range tests {
		c := quick(t, Config{Proxy: tt.proxy})
		to, err := parseTarget(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		who := newAsker(Origin{URL: tt.origin, Username: "token"})
		r := c.request(context.Background(), who, to, http.Header{})
		user, pass, ok := r.BasicAuth()
		if ok != tt.want || ok && (user != "token" || pass != "x-oauth-basic") {
			t.Errorf("%s from %s by %q: %v", tt.url, tt.origin, tt.proxy, ok)
		}
	}
}
