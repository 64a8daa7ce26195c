package page

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"vouch/subscriber"
)

// liveSite is a server with a page and, unless it is deaf, its events.
type liveSite struct {
	*httptest.Server
	mu      sync.Mutex
	view    View
	reads   int
	deaf    bool
	streams int
	events  chan string // types, as the daemon sends them
}

func serve(t *testing.T, v View) *liveSite {
	s := &liveSite{view: v, events: make(chan string)}
	mux := http.NewServeMux()
	mux.Handle("/", Handler(func() (View, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reads++
		return s.view, nil
	}))
	mux.HandleFunc("/v1/events", s.stream)
	s.Server = httptest.NewServer(mux)
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	return s
}

func (s *liveSite) stream(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	deaf := s.deaf
	s.streams++
	s.mu.Unlock()
	if deaf {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	for n := 1; ; n++ {
		select {
		case kind := <-s.events:
			fmt.Fprintf(w, "event: %s\nid: 5e1d-%d\ndata: {\"specversion\":\"1.0\"}\n\n", kind, n)
			w.(http.Flusher).Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// set replaces what is true.
func (s *liveSite) set(change func(*View)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.view)
}

func (s *liveSite) looks() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads
}

// In a real browser, which is started once: it takes longer than all the rest.
func TestPage_InChromium(t *testing.T) {
	b := startBrowser(t)
	for _, c := range []struct {
		name string
		test func(*testing.T, *browser)
	}{
		{"hostile text runs nothing", testHostile}, {"live", testLive}, {"without events", testDeaf}, {"without script", testNoScript},
		{"relative times", testRelative}, {"keyboard", testKeyboard}, {"looks", testLooks},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			b.look(1280, 900, "light")
			defer b.open("about:blank") // before its server goes
			c.test(t, b)
		})
	}
	b.t = t
}

// Each text has another of the attacks, and each attack is in another place the
// next time.
func testHostile(t *testing.T, b *browser) {
	for shift := range 3 {
		n := shift
		v := viewOf(func() string { n += 5; return attacks[n%len(attacks)] })
		s := serve(t, v)
		visit(t, b, s.URL+"/")
		for _, path := range allPages(v)[6:] {
			visit(t, b, s.URL+path)
		}
	}
}

// visit opens a page of hostile text and asks whether any of it came alive.
func visit(t *testing.T, b *browser, address string) {
	b.open(address)
	b.until(`document.getElementById("live").textContent === "live"`)
	if found := b.text(`(() => {
		const bad = [];
		if (window.pwned) bad.push("a script ran");
		for (const e of document.querySelectorAll("*")) {
			if (!"html head meta title link script body a header div p nav ul li main h1 h2 h3 section table caption thead tbody tr th td span bdi time svg rect strong b i dl dt dd code details summary form label input select option button footer".split(" ").includes(e.localName)) bad.push(e.outerHTML.slice(0, 200));
			for (const a of e.attributes) if (/^(on|style$|srcdoc)/.test(a.name)) bad.push(a.name);
			if (e.href && !String(e.href).startsWith(location.origin + "/")) bad.push(e.href);
		}
		return bad.join("\n");
	})()`); found != "" {
		t.Errorf("%s: %s", address, found)
	}
	for _, c := range b.complaints() {
		t.Errorf("%s: %s", address, c)
	}
}

const focused = `document.activeElement.getAttribute("href") || document.activeElement.id || document.activeElement.localName`

// An event brings the new state, and nobody loses their place.
func testLive(t *testing.T, b *browser) {
	s := serve(t, site(14, 3))
	b.open(s.URL + "/")
	b.until(`document.getElementById("live").textContent === "live"`)
	b.until(`performance.getEntriesByName(location.href).some(e => e.initiatorType === "fetch")`)
	var ignored any
	b.eval(`window.mark = 1; document.querySelector('[href="/list?name=endorser-004"]').focus(); window.scrollTo(0, 700)`, &ignored)
	before, begun := s.looks(), time.Now()
	s.set(func(v *View) {
		st := *v.Status
		st.Problems, v.Status = st.Problems[:1], &st
	})
	for range 20 { // faster than anybody reads
		s.events <- "image.available"
		time.Sleep(40 * time.Millisecond)
	}
	b.until(`document.querySelector("h1").textContent === "1 warning"`)
	if have := b.text(focused); have != "/list?name=endorser-004" {
		t.Errorf("the focus is on %s", have)
	}
	if have := b.text("String(scrollY > 300 && window.mark === 1)"); have != "true" {
		t.Error("scrolled away, or loaded anew")
	}
	if have := b.text(`document.getElementById("news").textContent + "|" + document.title`); have != "1 warning|1 warning · vouch" {
		t.Errorf("announced: %s", have)
	}
	if n, seconds := s.looks()-before, int(time.Since(begun).Seconds()); n > 2+seconds/2 {
		t.Errorf("20 events made it look %d times in %d s", n, seconds)
	}

	// Nobody who types is disturbed; afterwards the page catches up.
	b.open(s.URL + "/images")
	b.until(`document.getElementById("live").textContent === "live"`)
	b.eval(`document.getElementById("q").focus(); document.getElementById("q").value = "deb"`, &ignored)
	s.set(func(v *View) { v.Status = &subscriber.Status{State: "x", LastSync: noon} })
	s.events <- "sync.finished"
	time.Sleep(2500 * time.Millisecond)
	if have := b.text(`document.getElementById("q").value + document.querySelector(".found").textContent`); have != "deb1–43 of 43" {
		t.Errorf("while typing: %s", have)
	}
	b.eval(`document.getElementById("q").value = ""; document.activeElement.blur()`, &ignored)
	b.until(`document.querySelector(".found").textContent === "None"`)
	for _, c := range b.complaints() {
		t.Error(c)
	}
}

// Without events, and without a server, the page stays and says so.
func testDeaf(t *testing.T, b *browser) {
	s := serve(t, site(1, 1))
	s.deaf = true
	b.open(s.URL + "/")
	b.until(`document.getElementById("live").textContent === "looks again each minute"`)
	b.complaints()

	s = serve(t, site(1, 1))
	b.open(s.URL + "/")
	b.until(`document.getElementById("live").textContent === "live"`)
	s.Listener.Close()
	s.CloseClientConnections()
	var ignored any
	b.eval(`document.dispatchEvent(new Event("visibilitychange"))`, &ignored)
	b.until(`document.getElementById("live").textContent.startsWith("no answer since ")`)
	if have := b.text(`document.querySelector("h1").textContent`); have != "1 critical problem" {
		t.Errorf("what was there: %q", have)
	}
	b.complaints()
}

// All of it is there without script, and the forms work.
func testNoScript(t *testing.T, b *browser) {
	b.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": true})
	defer b.do("Emulation.setScriptExecutionDisabled", map[string]any{"value": false})
	s := serve(t, site(14, 3))
	b.open(s.URL + "/images")
	var ignored any
	b.eval(`document.getElementById("q").focus()`, &ignored)
	b.do("Input.insertText", map[string]any{"text": "CernVM"})
	b.key("Enter", 13)
	b.until(`location.search.startsWith("?q=CernVM") && document.readyState === "complete"`)
	if have := b.text(`document.querySelector(".found").textContent + "|" + document.getElementById("live").textContent`); have != "1–8 of 8 found among 43|as it was when loaded" {
		t.Error(have)
	}
}

// The script and vouch status say the same of a time.
func testRelative(t *testing.T, b *browser) {
	v := site(0, 0)
	var spans []time.Duration
	for _, d := range []time.Duration{2 * time.Second, 59 * time.Second, time.Minute, 59 * time.Minute, time.Hour, 47 * time.Hour, 48 * time.Hour, 59 * day, 60 * day, 61 * day, 89 * day, 90 * day, 729 * day, 730 * day, 1095 * day, 9999 * day} {
		spans = append(spans, -d-500*time.Millisecond, d+50*time.Second+500*time.Millisecond)
	}
	for i, d := range spans {
		v.Status.Subscriptions = append(v.Status.Subscriptions, subscriber.SubscriptionStatus{Name: fmt.Sprintf("s%02d", i), State: "ok", Verified: noon.Add(d)})
	}
	s := serve(t, v)
	b.open(s.URL + "/lists")
	b.until(`document.getElementById("live").textContent === "live"`)
	// What the server said comes back from it as text; what the script makes of it is in the document.
	var same struct{ Said, Made []string }
	b.eval(`(async () => {
		const texts = doc => [...doc.querySelectorAll("#main time")].map(t => t.dateTime + " " + t.textContent);
		const answer = await (await fetch(location.href)).text();
		return {Said: texts(new DOMParser().parseFromString(answer, "text/html")), Made: texts(document)};
	})()`, &same)
	if len(same.Said) != len(spans) {
		t.Fatalf("%d times", len(same.Said))
	}
	for i, said := range same.Said {
		if made := same.Made[i]; made != said && !strings.HasSuffix(said, " s") && !strings.HasSuffix(said, " s ago") {
			t.Errorf("the script says %s, the program %s", made, said)
		}
	}
}

// Everything can be reached with the tab key, in order, and is seen to be.
func testKeyboard(t *testing.T, b *browser) {
	s := serve(t, site(14, 3))
	b.open(s.URL + "/images")
	b.until(`document.getElementById("live").textContent === "live"`)
	var walk []string
	for range 16 {
		b.key("Tab", 9)
		walk = append(walk, b.text(focused))
		if seen := b.text(`(() => { const s = getComputedStyle(document.activeElement), r = document.activeElement.getBoundingClientRect();
			return s.outlineStyle !== "none" && parseFloat(s.outlineWidth) >= 2 && r.width > 0 && r.left >= 0 ? "seen" : "not seen"; })()`); seen != "seen" {
			t.Errorf("the focus on %s is %s", walk[len(walk)-1], seen)
		}
	}
	first := "/image?id=" + url.QueryEscape("4c1f6e4e-55f5-4b2f-9d0c-000000000008")
	want := "#main / / /lists /images /events /problems q state list button " + first + " /list?name=endorser-002"
	if have := strings.Join(walk[:13], " "); have != want {
		t.Errorf("walked\n%s, want\n%s", have, want)
	}
	b.open(s.URL + "/lists")
	b.key("Tab", 9)
	b.key("Enter", 13)
	b.until(`location.hash === "#main"`)
	b.key("Tab", 9)
	if have := b.text(focused); have != "q" {
		t.Errorf("after skipping: %s", have)
	}
}

// Nothing is wider than the narrowest phone, nothing is pale, nothing is blank.
func testLooks(t *testing.T, b *browser) {
	b.look(320, 640, "light")
	long := hostileView(strings.Repeat("unbroken", 200))
	s := serve(t, long)
	for _, path := range allPages(long) {
		b.open(s.URL + path)
		if over := b.text(`(() => { const w = document.documentElement.scrollWidth; return w > 320 ? w + ": " + [...document.querySelectorAll("main *")].filter(e => e.getBoundingClientRect().right > 320).map(e => e.outerHTML.slice(0, 90)).slice(0, 3).join(" ") : "" })()`); over != "" {
			t.Errorf("%.60s is too wide for 320: %s", path, over)
		}
	}
	v := site(14, 3)
	s = serve(t, v)
	for _, path := range allPages(v) {
		b.open(s.URL + path)
		for _, scheme := range []string{"light", "dark"} {
			b.look(1280, 900, scheme)
			if pale := b.text(contrast); pale != "" {
				t.Errorf("%s, %.60s: %s", scheme, path, pale)
			}
		}
	}
	b.open(s.URL + "/")
	for _, screen := range []struct {
		width  int
		scheme string
		dark   bool
	}{{1280, "light", false}, {1280, "dark", true}, {360, "light", false}, {360, "dark", true}} {
		b.look(screen.width, 800, screen.scheme)
		shot, err := png.Decode(bytes.NewReader(b.screenshot()))
		if err != nil {
			t.Fatal(err)
		}
		colours, ground := census(shot)
		if colours < 50 {
			t.Errorf("%d, %s: only %d colours", screen.width, screen.scheme, colours)
		}
		if dark := color.GrayModel.Convert(ground).(color.Gray).Y < 60; dark != screen.dark {
			t.Errorf("%d, %s: the ground is %v", screen.width, screen.scheme, ground)
		}
	}
}

// contrast names texts that do not reach 4.5 to 1 on the colour below them.
const contrast = `(() => {
	const canvas = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
	const cache = {};
	const rgb = c => cache[c] ??= read(c);
	const read = c => { canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = c; canvas.fillRect(0, 0, 1, 1); return [...canvas.getImageData(0, 0, 1, 1).data]; };
	const light = ([r, g, b]) => [r, g, b].map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
	const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c[3] === 255) return c; } return [255, 255, 255]; };
	const found = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
		const under = ground(e);
		let fore = rgb(getComputedStyle(e).color);
		for (let p = e; p; p = p.parentElement) { const o = parseFloat(getComputedStyle(p).opacity); fore = fore.map((v, i) => v * o + (under[i] ?? 0) * (1 - o)); }
		const [a, b] = [light(fore), light(under)].sort((x, y) => y - x);
		const ratio = (a + .05) / (b + .05);
		if (ratio < 4.5) found.add(e.localName + "." + e.className + " " + ratio.toFixed(2));
	}
	return [...found].join(", ");
})()`

// census is how many colours a picture has, and which is the commonest.
func census(m image.Image) (n int, most color.Color) {
	count := map[color.Color]int{}
	for y := 0; y < m.Bounds().Dy(); y += 5 {
		for x := range m.Bounds().Dx() {
			count[m.At(x, y)]++
		}
	}
	for c, k := range count {
		if most == nil || k > count[most] {
			most = c
		}
	}
	return len(count), most
}
