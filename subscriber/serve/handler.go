package serve

import (
	_ "embed"
	"net"
	"net/http"
	"os"
	"path"
	"slices"
	"strings"
	"time"
)

// description is the OpenAPI document of everything below /v1.
//
//go:embed openapi.json
var description []byte

// answer handles a request, or says what is wrong with it.
type answer func(w http.ResponseWriter, r *http.Request) *problem

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, a := range map[string]answer{
		"/v1/images":             s.images,
		"/v1/images/{id}":        s.image,
		"/v1/images/{id}/data":   s.data,
		"/v1/lists":              s.lists,
		"/v1/lists/{id}":         s.list,
		"/v1/lists/{id}/message": s.message,
		"/v1/events":             s.events,
		"/v1/status":             s.status,
		"/healthz":               s.healthy,
		"/readyz":                s.ready,
		"/openapi.json":          s.openAPI,
	} {
		mux.Handle(pattern, s.only(a, http.MethodGet, http.MethodHead))
	}
	mux.Handle("/v1/subscriptions/{name}/refresh", s.only(s.refresh, http.MethodPost))
	mux.Handle("/metrics", s.only(pass(func() http.Handler { return s.Metrics }), http.MethodGet, http.MethodHead))
	mux.Handle("/", s.only(pass(func() http.Handler { return s.Page }), http.MethodGet, http.MethodHead))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Content-Type-Options", "nosniff")
		if r.ContentLength != 0 { // a body, which nobody reads but the library, before it answers
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerTime))
		}
		if p := s.admit(r); p != nil {
			w.Header().Set("Connection", "close")
			p.write(w)
			return
		}
		if p := tidy(w, r); p != nil {
			p.write(w)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// tidy sends on who asks for a path with empty parts, . or .., such as a
// client whose base address ends in a slash. The library would do the same,
// with a page.
func tidy(w http.ResponseWriter, r *http.Request) *problem {
	asked := r.URL.EscapedPath()
	there := path.Clean(asked)
	if there != "/" && strings.HasSuffix(asked, "/") {
		there += "/"
	}
	if there == asked {
		return nil
	}
	if r.URL.RawQuery != "" {
		there += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", there)
	return refuse(http.StatusTemporaryRedirect, "path", "The path is written otherwise", "ask for Location", "")
}

// pass hands a request to a handler of another room, if there is one.
func pass(to func() http.Handler) answer {
	return func(w http.ResponseWriter, r *http.Request) *problem {
		h := to()
		if h == nil {
			return refuse(http.StatusNotFound, "not-found", "There is nothing here", "/openapi.json describes what there is", "")
		}
		h.ServeHTTP(w, r)
		return nil
	}
}

// only answers these methods.
func (s *Server) only(a answer, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			p := refuse(http.StatusMethodNotAllowed, "method", "This method is not for this resource", "", "%.20q", r.Method)
			p.allow = strings.Join(methods, ", ")
			p.write(w)
			return
		}
		if p := a(w, r); p != nil {
			p.write(w)
		}
	})
}

// admit refuses requests that were not meant for us. A browser on this machine
// can be made to ask us by a page from anywhere, whose name its own server
// makes point here: such a request has that name as its Host.
func (s *Server) admit(r *http.Request) *problem {
	if r.URL.Path == "" || r.URL.Path[0] != '/' { // OPTIONS *, CONNECT
		return refuse(http.StatusBadRequest, "request", "This is no proxy", "", "")
	}
	local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok || !loopback(local.String()) {
		return nil
	}
	if s.ours(r.Host) {
		return nil
	}
	return refuse(http.StatusMisdirectedRequest, "host", "The request is for another host", "ask for 127.0.0.1 or localhost; a proxy in front of vouch sends that as Host", "Host: %.100q", r.Host)
}

// ours says whether a Host names this machine: an attacker's page has a name
// that its own DNS answers for.
func (s *Server) ours(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.Trim(host, "[]"))
	ip := net.ParseIP(host)
	asked, _, _ := net.SplitHostPort(s.conf.Load().Listen)
	machine, _ := os.Hostname()
	return host == "localhost" || ip != nil && ip.IsLoopback() || asked != "" && host == strings.ToLower(asked) ||
		machine != "" && host == strings.ToLower(machine) || s.tls.named(host)
}

func (s *Server) openAPI(w http.ResponseWriter, r *http.Request) *problem {
	return document(w, r, tagOf(description), description)
}
