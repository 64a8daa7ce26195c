package event

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
)

// payloads are what T-44 tries. CANARY becomes a file that must not appear.
var payloads = []string{
	"`touch CANARY`", "$(touch CANARY)", "; touch CANARY", "& touch CANARY", "&& touch CANARY", "| touch CANARY",
	"|| touch CANARY", "\ntouch CANARY\n", "\r\ntouch CANARY", "'; touch CANARY; '", "\"; touch CANARY; \"",
	"'$(touch CANARY)'", "\"`touch CANARY`\"", "\\\"; touch CANARY; \\\"", "> CANARY", ">> CANARY", "2> CANARY",
	"< /etc/passwd > CANARY", "<(touch CANARY)", ">(touch CANARY)", "${IFS}touch${IFS}CANARY", "$((touch CANARY))",
	"$[$(touch CANARY)]", "${x:-$(touch CANARY)}", "${x:=`touch CANARY`}", "() { :;}; touch CANARY",
	"() { _; } >_[$($())] { touch CANARY; }", "a[$(touch CANARY)]", "-O CANARY", "--output=CANARY", "-o CANARY", "-rf /nonexistent",
	"--", "-", "--help", "%0atouch CANARY", "%00", "%s%s%s%n", "%x %d", "!touch CANARY", "!!", "~root", "*", "?", "[a-z]*",
	"{a,b}", "$HOME", "$PATH", "${OUT}", "$0", "$$", "#comment", "\\", "\\n", "\ttab\t", "\x1b]0;title\x07",
	"\u202etxt.exe", "\u2028touch CANARY", "\x00touch CANARY", "\x7f\u0080\u009b31m",
	"../../../../tmp/x", "PATH=/nonexistent", "LD_PRELOAD=/nonexistent.so", "'", "\"", "日本語 ñ é",
}

// textVariables are the variables that carry a list's free text.
var textVariables = map[string]func(*ImageData, string){
	"VMCATCHER_EVENT_DC_TITLE":           func(d *ImageData, s string) { d.Title = s },
	"VMCATCHER_EVENT_DC_DESCRIPTION":     func(d *ImageData, s string) { d.Description = s },
	"VMCATCHER_EVENT_HV_HYPERVISOR":      func(d *ImageData, s string) { d.Hypervisor = s },
	"VMCATCHER_EVENT_HV_URI":             func(d *ImageData, s string) { d.URI = s },
	"VMCATCHER_EVENT_HV_VERSION":         func(d *ImageData, s string) { d.Version = s },
	"VMCATCHER_EVENT_HV_FORMAT":          func(d *ImageData, s string) { d.Format = s },
	"VMCATCHER_EVENT_SL_ARCH":            func(d *ImageData, s string) { d.Arch = s },
	"VMCATCHER_EVENT_SL_CHECKSUM_SHA512": func(d *ImageData, s string) { d.SHA512 = s },
	"VMCATCHER_EVENT_SL_OS":              func(d *ImageData, s string) { d.OS = s },
	"VMCATCHER_EVENT_SL_OSVERSION":       func(d *ImageData, s string) { d.OSVersion = s },
	"VMCATCHER_EVENT_AD_MPURI":           func(d *ImageData, s string) { d.MPURI = s },
	"VMCATCHER_EVENT_IL_DC_IDENTIFIER":   func(d *ImageData, s string) { d.List = s },
	"VMCATCHER_EVENT_VO":                 func(d *ImageData, s string) { d.VO = s },
	"VMCATCHER_EVENT_SL_COMMENTS": func(d *ImageData, s string) {
		d.Metadata, _ = json.Marshal(map[string]string{"sl:comments": s})
	},
	"VOUCH_EVENT_REASON": func(d *ImageData, s string) { d.Reason = s },
	"VOUCH_ENDORSER_DN":  func(d *ImageData, s string) { d.Endorser = &Endorser{DN: s} },
	"VOUCH_LIST_VERSION": func(d *ImageData, s string) { d.ListVersion = s },
}

// hostileImage has the payload in every field, told apart by its variable.
func hostileImage(payload string) (ImageData, map[string]string) {
	data := ImageData{Image: Image{Identifier: "harmless", Size: 1, Blob: "blobs/x"}}
	want := map[string]string{}
	for name, set := range textVariables {
		text := payload + name
		set(&data, text)
		want[name] = strings.Map(func(r rune) rune {
			if unicode.IsControl(r) {
				return ' '
			}
			return r
		}, text)
	}
	return data, want
}

func TestT44_PayloadsInEveryField(t *testing.T) {
	if len(payloads) < 60 {
		t.Fatalf("only %d payloads", len(payloads))
	}
	canary := filepath.Join(t.TempDir(), "canary")
	// The careless half of this command string is what old handlers do with
	// the variables; the shell must still take them for words only.
	careless := `for w in $VMCATCHER_EVENT_DC_TITLE $VMCATCHER_EVENT_HV_URI; do echo $w; done; ` + recordScript
	for name, h := range map[string]Handler{
		"exec":  {VMCatcher: true},
		"shell": {VMCatcher: true, Shell: careless},
	} {
		t.Run(name, func(t *testing.T) {
			for _, payload := range payloads {
				payload = strings.ReplaceAll(payload, "CANARY", canary)
				data, want := hostileImage(payload)
				r := newRecorder(t, h)
				e := mustNew(t, 1, ImageAvailable, data)
				if _, err := r.Deliver(context.Background(), e, testPlace, false); err != nil {
					t.Errorf("%q: %v", payload, err)
					continue
				}
				got := r.runs(t)[0]
				for name := range want {
					if got[name] != want[name] {
						t.Errorf("%q: %s=%q, want %q", payload, name, got[name], want[name])
					}
				}
				if name == "exec" {
					expectVerbatim(t, r.stdin(t), data)
				}
				if _, err := os.Lstat(canary); err == nil {
					t.Fatalf("%q was executed", payload)
				}
			}
		})
	}
}

// expectVerbatim checks the JSON that the handler read against what was sent.
func expectVerbatim(t *testing.T, stdin string, data ImageData) {
	t.Helper()
	var e Event
	if err := json.Unmarshal([]byte(stdin), &e); err != nil {
		t.Fatalf("%v: %q", err, stdin)
	}
	var got ImageData
	if err := json.Unmarshal(e.Data, &got); err != nil {
		t.Fatal(err)
	}
	want, _ := json.Marshal(data)
	back, _ := json.Marshal(got)
	if got, want := PrintableJSON(back), PrintableJSON(want); !bytes.Equal(got, want) {
		t.Errorf("standard input\n got %s\nwant %s", got, want)
	}
	if text := strings.TrimSuffix(stdin, "\n"); text != Printable(text) {
		t.Errorf("standard input is not printable: %q", text)
	}
}

func TestT44_IdentifierIsAFileNameOrNothingRuns(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	h := Handler{Name: "h", VMCatcher: true, Shell: "touch " + ran, Timeout: time.Minute}
	for _, id := range append([]string{"", ".", "..", ".hidden", "a/b", "/etc/passwd", "a\x00b", "a b", "é", strings.Repeat("a", 129)}, payloads...) {
		e := mustNew(t, 1, ImageRevoked, ImageData{Image: Image{Identifier: id}})
		if _, err := h.Deliver(context.Background(), e, testPlace, true); err == nil {
			t.Errorf("%q is accepted", id)
		} else if text := err.Error(); text != Printable(text) {
			t.Errorf("%q: the error is not printable: %q", id, text)
		}
	}
	if _, err := os.Lstat(ran); err == nil {
		t.Error("the handler was run")
	}
}

// Linux refuses a string of 128 KiB with E2BIG: the event would be lost.
func TestT44_LongValuesAreCutNotLost(t *testing.T) {
	data, _ := hostileImage(strings.Repeat("é", 200<<10))
	r := newRecorder(t, Handler{VMCatcher: true})
	if _, err := r.Deliver(context.Background(), mustNew(t, 1, ImageAvailable, data), testPlace, false); err != nil {
		t.Fatal(err)
	}
	env := r.runs(t)[0]
	for name := range textVariables {
		if env[name] != strings.Repeat("é", maxValue/2) {
			t.Errorf("%s has %d bytes", name, len(env[name]))
		}
	}
	expectVerbatim(t, r.stdin(t), data)
}
