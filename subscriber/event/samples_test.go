package event

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// sample is the absolute path of a file under etc/.
func sample(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../../etc", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// site is a cache as a handler meets it, moved by hand through an image's life.
type site struct {
	t     *testing.T
	place Place
	next  uint64
}

func newSite(t *testing.T) *site {
	t.Helper()
	dir := t.TempDir()
	s := &site{t: t, place: Place{CacheDir: filepath.Join(dir, "cache"), StateDir: filepath.Join(dir, "state"), Session: testPlace.Session}}
	for _, name := range []string{"endorsed", "partial", "expired"} {
		if err := os.MkdirAll(filepath.Join(s.place.CacheDir, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func (s *site) write(name, text string) {
	s.t.Helper()
	if err := os.WriteFile(filepath.Join(s.place.CacheDir, name), []byte(text), 0o644); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) rename(from, to string) {
	s.t.Helper()
	if err := os.Rename(filepath.Join(s.place.CacheDir, from), filepath.Join(s.place.CacheDir, to)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) event(kind Type, data any) Event {
	s.t.Helper()
	s.next++
	e, err := New(testState, s.next, kind, "", testTime, data)
	if err != nil {
		s.t.Fatal(err)
	}
	return e
}

func (s *site) deliver(h Handler, e Event, prefix bool) Receipt {
	s.t.Helper()
	receipt, err := h.Deliver(context.Background(), e, s.place, prefix)
	if err != nil {
		s.t.Fatal(err)
	}
	return receipt
}

func (s *site) announce(h Handler, e Event) {
	s.t.Helper()
	if err := h.Announce(context.Background(), e, s.place); err != nil {
		s.t.Fatal(err)
	}
}

func TestSampleHandler_WholeLifeOfAnImage(t *testing.T) {
	const id = "858a817e-0ca2-473f-89d3-d5bdfc51968e"
	for name, h := range map[string]Handler{
		"exec":  {Exec: []string{sample(t, "handlers/vmcatcher-eventhndl")}},
		"shell": {Shell: sample(t, "handlers/vmcatcher-eventhndl") + ` --of-old "$VMCATCHER_EVENT_TYPE"`},
	} {
		t.Run(name, func(t *testing.T) {
			s, store := newSite(t), t.TempDir()
			h.Name, h.VMCatcher, h.Timeout = "local-store", true, time.Minute
			h.Env = map[string]string{"IMAGE_STORE": store}
			stored := func(want string) {
				t.Helper()
				got, err := os.ReadFile(filepath.Join(store, id))
				if string(got) != want || want == "" && !os.IsNotExist(err) {
					t.Errorf("the store has %q (%v), want %q", got, err, want)
				}
			}
			image := ImageData{Image: Image{Identifier: id, Title: "Cern VM; rm -rf $HOME", List: "list"}}
			kept := func(stamp string) ImageData {
				gone := image
				gone.Kept = "expired/" + id + "." + stamp
				return gone
			}

			s.deliver(h, s.event(SyncStarted, SyncData{}), false)
			s.write("partial/"+id, "first")
			available := s.event(ImageAvailable, image)
			s.announce(h, available)
			stored("")
			s.rename("partial/"+id, "endorsed/"+id)
			s.deliver(h, available, false)
			stored("first")
			s.deliver(h, available, false) // delivery is at least once
			stored("first")

			// An update: the switch comes first, then everything is told.
			s.rename("endorsed/"+id, "expired/"+id+".2026-11-23_18-00-00")
			s.write("endorsed/"+id, "second")
			s.deliver(h, s.event(ImageSuperseded, kept("2026-11-23_18-00-00")), true)
			stored("")
			s.deliver(h, s.event(ImageAvailable, image), true)
			stored("second")

			revoked := s.event(ImageRevoked, kept("2026-11-23_18-00-00-2"))
			s.announce(h, revoked)
			stored("second")
			s.rename("endorsed/"+id, "expired/"+id+".2026-11-23_18-00-00-2")
			s.deliver(h, revoked, false)
			stored("")
			s.deliver(h, revoked, false)
			s.deliver(h, s.event(SyncFinished, SyncData{}), false)

			log, err := os.ReadFile(filepath.Join(store, ".events.log"))
			if err != nil {
				t.Fatal(err)
			}
			var types []string
			for line := range strings.Lines(string(log)) {
				kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
				types = append(types, kind)
				if !strings.HasPrefix(kind, "Process") && rest != id+" "+image.Title {
					t.Errorf("logged %q", rest)
				}
			}
			const want = "ProcessPrefix AvailablePrefix AvailablePostfix AvailablePostfix " +
				"ExpirePrefix ExpirePostfix AvailablePrefix AvailablePostfix " +
				"ExpirePrefix ExpirePostfix ExpirePostfix ProcessPostfix"
			if got := strings.Join(types, " "); got != want {
				t.Errorf("told\n %s\nwant\n %s", got, want)
			}
		})
	}
}

func TestSampleHandler_MissingImageIsAFailure(t *testing.T) {
	s := newSite(t)
	h := Handler{Name: "local-store", VMCatcher: true, Exec: []string{sample(t, "handlers/vmcatcher-eventhndl")}, Timeout: time.Minute,
		Env: map[string]string{"IMAGE_STORE": t.TempDir()}}
	e := s.event(ImageAvailable, ImageData{Image: Image{Identifier: "not-there"}})
	if _, err := h.Deliver(context.Background(), e, s.place, false); err == nil || !strings.Contains(err.Error(), "not-there") {
		t.Errorf("got %v", err)
	}
}

func TestSampleHandler_LogEvents(t *testing.T) {
	s, file := newSite(t), filepath.Join(t.TempDir(), "log")
	h := Handler{Name: "log", Exec: []string{sample(t, "handlers/log-events")}, Timeout: time.Minute, Env: map[string]string{"EVENT_LOG": file}}
	want := []Event{
		s.event(ListAccepted, ListData{Subscription: "cernvm"}),
		s.event(ImageAvailable, ImageData{Image: Image{Identifier: "x", Title: "two\nlines \\n %s"}}),
	}
	if receipt := s.deliver(h, want[0], false); receipt.Resource != "" {
		t.Errorf("receipt for a list: %+v", receipt)
	}
	if receipt := s.deliver(h, want[1], false); receipt.Resource != "log:"+want[1].ID {
		t.Errorf("receipt for an image: %+v", receipt)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(lines) != len(want) {
		t.Fatalf("logged %q", text)
	}
	for i, line := range lines {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.ID != want[i].ID || string(e.Data) != string(want[i].Data) {
			t.Errorf("line %d: %v: %s", i, err, line)
		}
	}
}

func TestVMCatcherImageShim(t *testing.T) {
	fake := filepath.Join(t.TempDir(), "vouch")
	if err := os.WriteFile(fake, []byte("#!/bin/sh\nprintf '[%s]' \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	const list = "[image][ls][--format][vmcatcher]"
	for args, want := range map[string]string{
		"-l":                         list,
		"--list":                     list,
		"-vv -l -q":                  list,
		"-d sqlite:///x.db -l":       list,
		"-l --database=sqlite:///x":  list,
		"-L /etc/log.conf --list -v": list,
		"":                           "",
		"-v":                         "",
		"-l -d":                      "",
		"-a -u 858a817e":             "",
		"-l --delete":                "",
	} {
		cmd := exec.Command("/bin/sh", append([]string{sample(t, "vmcatcher_image")}, strings.Fields(args)...)...)
		cmd.Env = append(os.Environ(), "VOUCH="+fake)
		out, err := cmd.Output()
		if string(out) != want {
			t.Errorf("vmcatcher_image %s: %q, want %q", args, out, want)
		}
		if failed := cmd.ProcessState.ExitCode() == 2; failed != (want == "") {
			t.Errorf("vmcatcher_image %s: %v", args, err)
		}
	}
}
