// Package page is what a person sees of a site in a browser: how every list and
// image is, what happened, what is wrong and what to do about it.
//
// It shows the files that vouch status and middleware read and has no truth of
// its own. Each page is rendered here, whole, and needs no script; with one
// (assets/live.js) it follows the events of the daemon by itself. It changes
// nothing: every form is a GET.
//
// All text is hostile. html/template keeps it text in every context, the
// templates pass it through event.Printable and isolate its direction, and the
// policy of the answers allows no script, style or image but the embedded ones.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"vouch/subscriber"
	"vouch/subscriber/event"
)

// View is what is shown. The handler reads it and changes nothing in it, so one
// View may serve many requests.
type View struct {
	At      time.Time          // now
	Version string             // of the program
	Alarm   time.Time          // when the last sync becomes a problem; zero = never
	Status  *subscriber.Status // nil: nothing has run yet
	Index   *subscriber.Index  // nil: there is none
	Events  []event.Event      // the newest ones, newest first; /events and details show no others
}

// rendering is how many pages are made at a time: one of a big site takes some
// megabytes, and everybody who can connect may ask.
const rendering = 4

//go:embed templates assets
var files embed.FS

// policy is the Content-Security-Policy of every answer.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// Handler serves the pages: / and, below it, lists, list, images, image,
// problems, events and assets/. Everything else is 404. It answers GET and HEAD
// only. Its script listens to /v1/events, and does without when that is not
// there.
//
// read gives what is true at the time of a request. It is called once for each,
// perhaps from several goroutines at once. subscriber.ErrNoStatus from it is as
// a View without Status; any other error is shown, as 503. Site.Read is one.
func Handler(read func() (View, error)) http.Handler {
	mux, turn := http.NewServeMux(), make(chan struct{}, rendering)
	page := func(pattern, name string, build builder) {
		mux.HandleFunc("GET "+pattern, func(w http.ResponseWriter, r *http.Request) {
			select {
			case turn <- struct{}{}:
			case <-r.Context().Done():
				return
			}
			code, body := func() (int, []byte) {
				defer func() { <-turn }()
				return render(read, r.URL, name, build)
			}()
			send(w, code, body)
		})
	}
	page("/{$}", "front", frontPage)
	page("/lists", "lists", listsPage)
	page("/list", "list", listPage)
	page("/images", "images", imagesPage)
	page("/image", "image", imagePage)
	page("/problems", "problems", problemsPage)
	page("/events", "events", eventsPage)
	page("/", "error", nothing)
	mux.HandleFunc("GET /assets/{name}", asset)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		mux.ServeHTTP(w, r)
	})
}

// failure is the data of the error page.
type failure struct{ Says, Detail, Hint string }

func asset(w http.ResponseWriter, r *http.Request) {
	name := "assets/" + r.PathValue("name")
	content, err := fs.ReadFile(files, name)
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=31536000, immutable") // named with assetTag
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(content))
}

// assetTag changes when an asset does.
var assetTag = func() string {
	sum := sha256.New()
	names, _ := fs.Glob(files, "assets/*") // the pattern is good
	for _, name := range names {
		content, _ := fs.ReadFile(files, name) // embedded: always there
		sum.Write(content)
	}
	return hex.EncodeToString(sum.Sum(nil)[:6])
}()

var templates = func() map[string]*template.Template {
	all := map[string]*template.Template{}
	for _, name := range []string{"front", "lists", "list", "images", "image", "problems", "events", "error"} {
		all[name] = template.Must(template.New("layout.html").Funcs(words).
			ParseFS(files, "templates/layout.html", "templates/parts.html", "templates/"+name+".html"))
	}
	return all
}()

// render makes a page whole before the first byte leaves.
func render(read func() (View, error), u *url.URL, name string, build builder) (code int, body []byte) {
	f := &frame{Path: u.Path}
	v, err := read()
	f.View = v
	if err != nil && !errors.Is(err, subscriber.ErrNoStatus) {
		return f.render(http.StatusServiceUnavailable, "error", failure{"The state cannot be read", err.Error(), "vouch status, on the machine itself, may say more"})
	}
	f.begin()
	if data := build(f, u.Query()); data != nil {
		return f.render(http.StatusOK, name, data)
	}
	return f.render(http.StatusNotFound, "error", failure{"There is no such page", "", "it may have been removed meanwhile; the lists and images of this site are linked above"})
}

func (f *frame) render(code int, name string, data any) (int, []byte) {
	f.Data = data
	var b bytes.Buffer
	if err := templates[name].Execute(&b, f); err != nil {
		return http.StatusInternalServerError, []byte("page: " + template.HTMLEscapeString(err.Error()))
	}
	return code, b.Bytes()
}

// send takes as long as the client likes.
func send(w http.ResponseWriter, code int, body []byte) {
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_, _ = w.Write(body) // the client has gone
}
