package page

import (
	"encoding/json"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"vouch/subscriber/event"
	"vouch/subscriber/event/eventtest"
)

// hostileView is a site where every text of the status, the catalogue and the
// events is this one.
func hostileView(text string) View { return viewOf(func() string { return text }) }

// viewOf is a site with every text from next.
func viewOf(next func() string) View {
	v := View{At: noon}
	fill(reflect.ValueOf(&v).Elem(), next)
	v.Alarm = time.Time{}
	v.At = noon
	return v
}

// fill sets every text below a value, and makes two of everything there can be
// many of.
func fill(v reflect.Value, next func() string) {
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(noon.Add(3 * day)))
		return
	case json.RawMessage:
		data := map[string]any{next(): next()}
		for _, key := range []string{"subscription", "title", "version", "reason", "detail", "identifier"} {
			data[key] = next()
		}
		data["list"] = map[string]string{"title": next(), "version": next()}
		raw, err := json.Marshal(data)
		if err != nil {
			panic(err)
		}
		v.Set(reflect.ValueOf(json.RawMessage(raw)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(next())
	case reflect.Int, reflect.Int64:
		v.SetInt(3)
	case reflect.Uint64:
		v.SetUint(9)
	case reflect.Float64:
		v.SetFloat(0.5)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(v.Index(i), next)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf(next()), reflect.ValueOf(next()))
	default:
		panic("site with a " + v.Kind().String())
	}
}

// Every hidden code point in every text of every page is written out. A page's
// own line ends are all that is left of them.
func TestT45_PageWritesOutWhatIsHidden(t *testing.T) {
	runes := eventtest.Hidden()
	for at := 0; at < len(runes); at += 4 {
		text, want := "", ""
		for _, r := range runes[at:min(at+4, len(runes))] {
			text += "a" + string(r) + "z"
			want += event.Printable("a" + string(r) + "z")
		}
		v := hostileView(text)
		h := showing(v)
		for _, path := range allPages(v) {
			if strings.HasPrefix(path, "/no/") {
				continue
			}
			r := get(h, path)
			body := r.Body.String()
			if r.Code != 200 {
				t.Fatalf("%q: %s: %d", text, path, r.Code)
			}
			if strings.Count(body, want) < 3 {
				t.Errorf("%q: %s: has %d times %s", text, path, strings.Count(body, want), want)
			}
			if strings.Contains(body, "a\nz") || strings.Contains(body, "\ufffd") {
				t.Errorf("%q: %s: a control character came through", text, path)
			}
			for line := range strings.Lines(body) {
				if line = strings.TrimSuffix(line, "\n"); event.Printable(line) != line {
					t.Errorf("%q: %s: %q", text, path, line)
				}
			}
		}
	}
}

// attacks are texts that would be markup, script or addresses if they were not
// always text.
var attacks = []string{
	`<script>window.pwned=1</script>`,
	`"><img src=x onerror="window.pwned=1">`,
	`' onmouseover='window.pwned=1' autofocus onfocus='window.pwned=1`,
	`javascript:window.pwned=1//`,
	`</title></style></script></textarea><svg onload=window.pwned=1>`,
	`--><!--<iframe srcdoc="<script>parent.pwned=1</script>">`,
	`data:text/html,<script>window.pwned=1</script>`,
	`{{.Status}}${window.pwned=1}`,
	`https://evil.example.org/?<a href=//evil.example.org>x</a>`,
	`//evil.example.org/x`,
	`&lt;script&gt;&#x202e;&NewLine;javascript&colon;window.pwned=1`,
	"\xff\xfe<\x00script>window.pwned=1</script>",
}

// forms are the tags of a page, without the values of their attributes.
func forms(body string) map[string]bool {
	all := map[string]bool{}
	for _, tag := range regexp.MustCompile(`<[a-zA-Z!/][^>]*>?`).FindAllString(body, -1) {
		all[regexp.MustCompile(`"[^"]*"`).ReplaceAllString(tag, "")] = true
	}
	return all
}

func TestPage_TextIsNeverMarkup(t *testing.T) {
	addresses := regexp.MustCompile(`(?:href|src|action)="([^"]*)`)
	known := map[string]bool{}
	for _, v := range []View{site(60, 2), hostileView("text"), hostileView(strings.Repeat("text", 100))} {
		for _, path := range append(allPages(v), "/images?q=t", "/images?state=failed", "/list?name=endorser-009") {
			for tag := range forms(get(showing(v), path).Body.String()) {
				known[tag] = true
			}
		}
	}
	for _, text := range attacks {
		v := hostileView(text)
		for _, path := range append(allPages(v), "/images?q="+url.QueryEscape(text), "/images?list="+url.QueryEscape(text)) {
			body := get(showing(v), path).Body.String()
			for tag := range forms(body) {
				if !known[tag] {
					t.Errorf("%q: %s has a %s", text, path, tag)
				}
			}
			for _, m := range addresses.FindAllStringSubmatch(body, -1) {
				if a := m[1]; a != "" && a[0] != '/' && a[0] != '#' || strings.HasPrefix(a, "//") {
					t.Errorf("%q: %s leads to %s", text, path, a)
				}
			}
		}
	}
}

// A text as long as it likes costs no more than a line, and is whole where
// there is one of it.
func TestPage_LongText(t *testing.T) {
	long := strings.Repeat("0123456789abcdef", 4<<10)
	v := hostileView(long + "end")
	h := showing(v)
	for _, path := range allPages(v)[:5] {
		if n := get(h, path).Body.Len(); n > 128<<10 {
			t.Errorf("%s: %d bytes", path, n)
		}
	}
	v = site(1, 1)
	m := &v.Status.Images[0]
	m.Title = long[:60<<10] + "end"
	v.Index.Images[0].Description = long + long
	r := get(showing(v), "/image?id="+m.Identifier)
	must(t, r, 200, m.Title, "131,072 bytes")
	if n := r.Body.Len(); n > 200<<10 {
		t.Errorf("%d bytes", n)
	}
}

func TestBegin(t *testing.T) {
	for _, c := range []struct {
		in, want string
		cut      bool
	}{
		{"", "", false}, {"12345", "12345", false}, {"123456", "1234…", true}, {"日本日本日", "日本日本日", false}, {"日本日本日本", "日本日本…", true},
		{"\u202eab", `\u20…`, true}, {strings.Repeat("\U0001F600", 9), "\U0001F600\U0001F600\U0001F600\U0001F600…", true}, {strings.Repeat("\xff", 40), `\xff…`, true},
	} {
		if have, cut := begin(c.in, 5); have != c.want || cut != c.cut {
			t.Errorf("%q: %q, %t", c.in, have, cut)
		}
	}
}
