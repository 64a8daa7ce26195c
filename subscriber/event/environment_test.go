package event

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var testPlace = Place{CacheDir: "/var/cache/vouch", StateDir: "/var/lib/vouch", Session: "6c1f9ad8-8f58-44f6-9df1-0a8e0d1f6f10"}

// testImage has every field that any variable shows.
func testImage() ImageData {
	return ImageData{
		Image: Image{
			Identifier: "858a817e-0ca2-473f-89d3-d5bdfc51968e", List: "63175437-7d59-4851-b333-c96cb6545a86",
			Subscription: "cernvm", Title: "CernVM", Description: "A µVM", Version: "4.2",
			OS: "Linux", OSVersion: "9", Arch: "x86_64", Hypervisor: "kvm", Format: "qcow2", Size: 1048576,
			SHA512: strings.Repeat("ab", 64), URI: "https://example.org/vm.qcow2", VO: "vo.example.org",
			MPURI: "https://market.example.org/vm", Path: "endorsed/858a817e-0ca2-473f-89d3-d5bdfc51968e",
			Blob: "blobs/sha512/ab/" + strings.Repeat("ab", 64), AvailableSince: testTime, Expires: testTime,
			Metadata: json.RawMessage(`{"dc:title":"CernVM","sl:comments":"mind the gap","SL:comments":"not this"}`),
		},
		Reason: "removed", Kept: "expired/858a817e-0ca2-473f-89d3-d5bdfc51968e.2026-11-23_18-00-00-2",
		ListVersion: "1.0.7", ListExpires: testTime.AddDate(0, 0, 28),
		Endorser: &Endorser{DN: "/DC=org/CN=Alice", CA: "/DC=org/CN=CA"},
	}
}

// recorder is a handler that writes each environment it is run with, and what
// it reads, to numbered files of a directory.
type recorder struct {
	Handler
	dir string
}

const recordScript = `n=$(ls "$OUT" | grep -c environ); cat /proc/$$/environ >"$OUT/environ.$n"; cat >"$OUT/stdin.$n"`

func newRecorder(t *testing.T, h Handler) recorder {
	t.Setenv("PATH", os.Getenv("PATH"))
	t.Setenv("HOME", "/root")
	t.Setenv("LANG", "en_US.UTF-8")
	t.Setenv("VOUCH_SECRET", "must not be inherited")
	r := recorder{h, t.TempDir()}
	if r.Shell == "" {
		r.Exec = []string{"/bin/sh", "-c", recordScript}
	}
	r.Name, r.Timeout = "recorder", time.Minute
	r.Env = map[string]string{"OUT": r.dir}
	return r
}

// runs is what the handler was run with, in order, without what is the same
// for every handler.
func (r recorder) runs(t *testing.T) []map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "environ.*"))
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]string
	for _, name := range files {
		raw, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		env := map[string]string{}
		for entry := range bytes.SplitSeq(bytes.TrimSuffix(raw, []byte{0}), []byte{0}) {
			key, value, _ := strings.Cut(string(entry), "=")
			if _, twice := env[key]; twice {
				t.Errorf("%s is set twice", key)
			}
			env[key] = value
		}
		for key, want := range map[string]string{"PATH": os.Getenv("PATH"), "HOME": "/root", "LANG": "en_US.UTF-8", "OUT": r.dir} {
			if env[key] != want {
				t.Errorf("%s=%q, want %q", key, env[key], want)
			}
			delete(env, key)
		}
		all = append(all, env)
	}
	return all
}

func (r recorder) stdin(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(r.dir, "stdin.0"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func expectEnv(t *testing.T, got, want map[string]string) {
	t.Helper()
	for key := range want {
		if got[key] != want[key] {
			t.Errorf("%s=%q, want %q", key, got[key], want[key])
		}
	}
	for key := range got {
		if _, ok := want[key]; !ok {
			t.Errorf("%s=%q, want it not set", key, got[key])
		}
	}
}

// merged is the union of maps.
func merged(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		maps.Copy(out, m)
	}
	return out
}

// The contract's table, written out by column for testImage and testPlace.
var (
	wantSession = map[string]string{
		"VMCATCHER_EVENT_UUID_SESSION": testPlace.Session,
	}
	wantPlace = map[string]string{
		"VMCATCHER_CACHE_DIR_CACHE":    "/var/cache/vouch/endorsed/",
		"VMCATCHER_CACHE_DIR_DOWNLOAD": "/var/cache/vouch/partial/",
		"VMCATCHER_CACHE_DIR_EXPIRE":   "/var/cache/vouch/expired/",
		"VMCATCHER_RDBMS":              "vouch:/var/lib/vouch",
	}
	wantImage = map[string]string{
		"VMCATCHER_EVENT_DC_IDENTIFIER":      "858a817e-0ca2-473f-89d3-d5bdfc51968e",
		"VMCATCHER_EVENT_DC_TITLE":           "CernVM",
		"VMCATCHER_EVENT_DC_DESCRIPTION":     "A µVM",
		"VMCATCHER_EVENT_HV_HYPERVISOR":      "kvm",
		"VMCATCHER_EVENT_HV_SIZE":            "1048576",
		"VMCATCHER_EVENT_HV_URI":             "https://example.org/vm.qcow2",
		"VMCATCHER_EVENT_HV_VERSION":         "4.2",
		"VMCATCHER_EVENT_SL_ARCH":            "x86_64",
		"VMCATCHER_EVENT_SL_CHECKSUM_SHA512": strings.Repeat("ab", 64),
		"VMCATCHER_EVENT_SL_COMMENTS":        "mind the gap",
		"VMCATCHER_EVENT_SL_OS":              "Linux",
		"VMCATCHER_EVENT_SL_OSVERSION":       "9",
	}
	wantListed = map[string]string{
		"VMCATCHER_EVENT_HV_FORMAT":        "qcow2",
		"VMCATCHER_EVENT_AD_MPURI":         "https://market.example.org/vm",
		"VMCATCHER_EVENT_FILENAME":         "858a817e-0ca2-473f-89d3-d5bdfc51968e",
		"VMCATCHER_EVENT_IL_DC_IDENTIFIER": "63175437-7d59-4851-b333-c96cb6545a86",
		"VMCATCHER_EVENT_VO":               "vo.example.org",
	}
	wantOwnImage = map[string]string{
		"VOUCH_EVENT_REASON": "removed",
		"VOUCH_ENDORSER_DN":  "/DC=org/CN=Alice",
		"VOUCH_LIST_VERSION": "1.0.7",
		"VOUCH_LIST_EXPIRES": "2026-12-21T18:00:00Z",
		"VOUCH_BLOB":         "/var/cache/vouch/blobs/sha512/ab/" + strings.Repeat("ab", 64),
	}
)

func wantOwn(e Event) map[string]string {
	return map[string]string{"VOUCH_EVENT_ID": e.ID, "VOUCH_EVENT_TYPE": string(e.Type), "VOUCH_HANDLER": "recorder"}
}

func legacyName(name string) map[string]string {
	return map[string]string{"VMCATCHER_EVENT_TYPE": name}
}

func TestVMCatcher_EnvironmentPerType(t *testing.T) {
	kept := map[string]string{"VMCATCHER_EVENT_FILENAME": "858a817e-0ca2-473f-89d3-d5bdfc51968e.2026-11-23_18-00-00-2"}
	process := merged(wantSession, wantPlace)
	full := merged(process, wantImage, wantListed, wantOwnImage)
	type run struct {
		name string
		env  map[string]string
	}
	expire := []run{{"ExpirePrefix", full}, {"ExpirePostfix", merged(full, kept)}}
	for kind, want := range map[Type][]run{
		SyncStarted:     {{"ProcessPrefix", process}},
		SyncFinished:    {{"ProcessPostfix", process}},
		ImageAnnounced:  {{"SubscriptionImageNew", merged(wantSession, wantImage, wantOwnImage)}},
		ImageAvailable:  {{"AvailablePrefix", full}, {"AvailablePostfix", full}},
		ImageSuperseded: expire,
		ImageExpired:    expire,
		ImageRevoked:    expire,
		ImageBlocked:    expire,
		ImageDeselected: expire,
		ImageCorrupt:    expire,
		ImageUpdated:    nil,
		ImageFailed:     nil,
		ListAccepted:    nil,
		ListRejected:    nil,
		ListUnreachable: nil,
		ListExpiring:    nil,
		ListExpired:     nil,
	} {
		t.Run(string(kind), func(t *testing.T) {
			r := newRecorder(t, Handler{VMCatcher: true})
			e := mustNew(t, 1, kind, testImage())
			if _, err := r.Deliver(context.Background(), e, testPlace, true); err != nil {
				t.Fatal(err)
			}
			got := r.runs(t)
			if len(got) != len(want) {
				t.Fatalf("run %d times, want %d: %v", len(got), len(want), got)
			}
			for i, w := range want {
				expectEnv(t, got[i], merged(w.env, legacyName(w.name), wantOwn(e)))
			}
		})
	}
}

func TestVMCatcher_AnnounceIsThePrefixAlone(t *testing.T) {
	for kind, want := range map[Type]string{
		SyncStarted: "", ImageAnnounced: "", ImageUpdated: "", ListAccepted: "",
		ImageAvailable: "AvailablePrefix", ImageRevoked: "ExpirePrefix", ImageDeselected: "ExpirePrefix",
	} {
		r := newRecorder(t, Handler{VMCatcher: true})
		e := mustNew(t, 1, kind, testImage())
		if err := r.Announce(context.Background(), e, testPlace); err != nil {
			t.Fatal(err)
		}
		runs := r.runs(t)
		switch {
		case want == "" && len(runs) > 0:
			t.Errorf("%s: was announced: %v", kind, runs)
		case want != "" && (len(runs) != 1 || runs[0]["VMCATCHER_EVENT_TYPE"] != want):
			t.Errorf("%s: got %v, want one %s", kind, runs, want)
		}
		if want == "" {
			continue
		}
		if _, err := r.Deliver(context.Background(), e, testPlace, false); err != nil {
			t.Fatal(err)
		}
		postfix := strings.TrimSuffix(want, "Prefix") + "Postfix"
		if runs := r.runs(t); len(runs) != 2 || runs[1]["VMCATCHER_EVENT_TYPE"] != postfix {
			t.Errorf("%s: after delivery got %v, want one %s more", kind, runs, postfix)
		}
	}
	plain := newRecorder(t, Handler{})
	if err := plain.Announce(context.Background(), mustNew(t, 1, ImageAvailable, testImage()), testPlace); err != nil {
		t.Fatal(err)
	}
	if runs := plain.runs(t); len(runs) != 0 {
		t.Errorf("a handler that is not vmcatcher's was announced to: %v", runs)
	}
}

func TestVMCatcher_FailedPrefixDoesNotStopDelivery(t *testing.T) {
	script := `[ $VMCATCHER_EVENT_TYPE != AvailablePrefix ] && echo '{"resource":"done"}'`
	h := Handler{Name: "picky", VMCatcher: true, Shell: script, Timeout: time.Minute}
	receipt, err := h.Deliver(context.Background(), mustNew(t, 1, ImageAvailable, testImage()), testPlace, true)
	if err != nil || receipt.Resource != "done" {
		t.Errorf("got %+v, %v", receipt, err)
	}
	h.Shell = "exit 4"
	_, err = h.Deliver(context.Background(), mustNew(t, 1, ImageAvailable, testImage()), testPlace, true)
	const want = "handler picky: image.available (AvailablePostfix): exit status 4; " +
		"before that: handler picky: image.available (AvailablePrefix): exit status 4"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestEnvironment_EmptyIsNotSet(t *testing.T) {
	r := newRecorder(t, Handler{VMCatcher: true})
	r.Env["VMCATCHER_EVENT_HV_FORMAT"] = "not the list's word"
	e := mustNew(t, 1, ImageCorrupt, ImageData{Image: Image{Identifier: "x", Size: 5}})
	if _, err := r.Deliver(context.Background(), e, testPlace, false); err != nil {
		t.Fatal(err)
	}
	expectEnv(t, r.runs(t)[0], merged(wantSession, wantPlace, wantOwn(e), legacyName("ExpirePostfix"), map[string]string{
		"VMCATCHER_EVENT_DC_IDENTIFIER": "x",
		"VMCATCHER_EVENT_HV_SIZE":       "5",
		// Nothing is kept of a corrupt image; the name has its form all the same.
		"VMCATCHER_EVENT_FILENAME": "x.2026-11-23_18-00-00",
	}))
}

func TestEnvironment_OwnVariablesOnly(t *testing.T) {
	image := testImage()
	last := List{Version: "1.0.7", Expires: image.ListExpires, Endorser: *image.Endorser}
	for _, c := range []struct {
		kind Type
		data any
		want map[string]string
	}{
		{ImageFailed, image, wantOwnImage},
		{SyncStarted, SyncData{Session: "s"}, nil},
		{ListUnreachable, ListData{Reason: "fetch"}, map[string]string{"VOUCH_EVENT_REASON": "fetch"}},
		{ListRejected, ListData{Reason: "signature", List: &last}, map[string]string{
			"VOUCH_EVENT_REASON": "signature",
			"VOUCH_ENDORSER_DN":  "/DC=org/CN=Alice",
			"VOUCH_LIST_VERSION": "1.0.7",
			"VOUCH_LIST_EXPIRES": "2026-12-21T18:00:00Z",
		}},
	} {
		r := newRecorder(t, Handler{})
		e := mustNew(t, 1, c.kind, c.data)
		if _, err := r.Deliver(context.Background(), e, testPlace, true); err != nil {
			t.Fatal(err)
		}
		expectEnv(t, r.runs(t)[0], merged(wantOwn(e), c.want))
		line, err := e.Line()
		if err != nil {
			t.Fatal(err)
		}
		if got := r.stdin(t); got != string(line)+"\n" {
			t.Errorf("%s: standard input\n got %s\nwant %s", c.kind, got, line)
		}
	}
}

func TestStandardInput_ByKindOfHandler(t *testing.T) {
	e := mustNew(t, 1, ImageAvailable, testImage())
	for _, c := range []struct {
		name string
		h    Handler
		json bool
	}{
		{"exec", Handler{}, true},
		{"exec of vmcatcher's", Handler{VMCatcher: true}, true},
		{"shell", Handler{Shell: recordScript}, true},
		{"shell of vmcatcher's", Handler{Shell: recordScript, VMCatcher: true}, false},
	} {
		r := newRecorder(t, c.h)
		if _, err := r.Deliver(context.Background(), e, testPlace, false); err != nil {
			t.Fatal(err)
		}
		if got := json.Valid([]byte(r.stdin(t))); got != c.json {
			t.Errorf("%s: the event on standard input: %v, want %v", c.name, got, c.json)
		}
	}
}

func TestSafeText(t *testing.T) {
	long := strings.Repeat("a", maxValue-1)
	for in, want := range map[string]string{
		"two\nlines\tand\x00nul":     "two lines and nul",
		"\x1b[31mred\x7f \u0085next": " [31mred   next",
		"bad \xff utf-8 \xc3":        "bad \ufffd utf-8 \ufffd",
		"日本 ñ":                       "日本 ñ",
		long + "a":                   long + "a",
		long + "é":                   long,
		long + "aa":                  long + "a",
	} {
		if got := safeText(in); got != want || !utf8.ValidString(got) {
			t.Errorf("%.40q (%d bytes): got %.40q (%d bytes)", in, len(in), got, len(got))
		}
	}
}

func TestMetadataText(t *testing.T) {
	for object, want := range map[string]string{
		`{"sl:comments":"text"}`:             "text",
		`{"sl:comments":1.50}`:               "1.50",
		`{"sl:comments":null}`:               "",
		`{"sl:comments":{"a":1}}`:            "",
		`{"SL:COMMENTS":"other"}`:            "",
		`{}`:                                 "",
		`[]`:                                 "",
		``:                                   "",
		`{"sl:comments":"line\u2028\nline"}`: "line\u2028\nline",
	} {
		if got := metadataText(json.RawMessage(object), "sl:comments"); got != want {
			t.Errorf("%s: got %q, want %q", object, got, want)
		}
	}
}

func TestEnvFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets")
	write := func(text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	deliver := func() (recorder, error) {
		r := newRecorder(t, Handler{EnvFile: file})
		r.Env["BOTH"] = "env"
		_, err := r.Deliver(context.Background(), mustNew(t, 1, SyncStarted, SyncData{}), testPlace, false)
		return r, err
	}

	write("# comment\n\nTOKEN=a=b \"c\" $HOME \r\nBOTH=file\nEMPTY=\nVOUCH_EVENT_TYPE=forged\n", 0o600)
	r, err := deliver()
	if err != nil {
		t.Fatal(err)
	}
	env := r.runs(t)[0]
	if env["TOKEN"] != `a=b "c" $HOME ` || env["BOTH"] != "file" || env["VOUCH_EVENT_TYPE"] != "sync.started" {
		t.Errorf("environment: %q", env)
	}

	for _, c := range []struct {
		name, text string
		mode       os.FileMode
		want       string
	}{
		{"world readable", "A=b\n", 0o604, "others can read or change it (mode 0604)"},
		{"no assignment", "A=b\nhunter2\n", 0o600, "line 2: not KEY=VALUE"},
		{"bad name", "A B=hunter2\n", 0o600, "line 1: not KEY=VALUE"},
		{"NUL", "A=hunter2\x00\n", 0o600, "NUL"},
		{"too large", "A=" + strings.Repeat("x", maxEnvFile), 0o600, "larger than"},
	} {
		write(c.text, c.mode)
		r, err := deliver()
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v, want one with %q and without the secret", c.name, err, c.want)
		}
		if runs := r.runs(t); len(runs) != 0 {
			t.Errorf("%s: the handler was run", c.name)
		}
	}
}
