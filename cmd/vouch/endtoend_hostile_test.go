package main_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"vouch/imagelist/listtest"
)

// payloads are texts that somebody, somewhere, has executed, followed or
// believed. %s is a file that must not come to be.
var payloads = []string{
	"`touch %s`", "$(touch %s)", "; touch %s;", "| touch %s", "& touch %s &", "' ; touch %s ; '", `" ; touch %s ; "`,
	"\ntouch %s\n", "() { :;}; touch %s", "-O %s", "--post-file=%s", "${IFS}touch${IFS}%s", ">%s", "%%0atouch %s",
	"\x1b]0;owned\x07\x1b[2J%s", "\u202e%s\u202c\u2066", "\u200b\u2028\u2029\u0085%s\u009b31m", "../../../../%s",
}

// textFields are the keys of an entry that hold free text.
var textFields = []string{
	"dc:title", "dc:description", "sl:comments", "sl:os", "sl:osversion", "sl:arch", "hv:hypervisor", "hv:format", "hv:version", "ad:mpuri", "x:extra",
}

// TestT44_T45_HostileText puts every payload into every field, with handlers
// of all kinds listening: nothing is executed, nothing reaches a terminal.
func TestT44_T45_HostileText(t *testing.T) {
	s := newSite(t)
	canary := s.path("canary")
	dump := "{ env; cat; echo; } >>" + s.path("told") + "\n"
	s.handler("plain", dump, nil)
	s.handler("legacy", dump, object{"vmcatcher": true})
	s.conf["handlers"] = append(s.conf["handlers"].([]any), object{
		"name": "shell", "vmcatcher": true, "shell": `x=$VMCATCHER_EVENT_DC_TITLE; echo "$x" $VMCATCHER_EVENT_SL_COMMENTS "${VMCATCHER_EVENT_DC_DESCRIPTION}" >>` + s.path("told"),
	})
	var images []picture
	for n, p := range payloads {
		text := fmt.Sprintf(strings.ReplaceAll(p, "%s", "%[1]s"), canary)
		set := object{}
		for _, f := range textFields {
			set[f] = text
		}
		images = append(images, picture{fmt.Sprintf("image-%02d", n), fmt.Sprint("content ", n), set})
	}
	hostile := "\x1b[31mred\x1b[0m \u202eevil\u202c $(touch " + canary + ") `touch " + canary + "`"
	b := s.draft("1.0.0", images...).Title(hostile).Set("dc:description", hostile).Set("ad:vo", hostile).Set("dc:source", hostile)
	s.publish(b)
	outside := s.outsideTree()
	first := s.vouch("sync", "--verbose")
	if first.code != 0 && first.code != 3 {
		t.Fatalf("sync: exit %d\n%s%s", first.code, first.stdout, first.stderr)
	}
	if n := len(s.index().Images); n < len(payloads)-3 {
		t.Errorf("only %d of %d images: %s", n, len(payloads), first.stdout)
	}
	s.publish(s.draft("2.0.0").Title(hostile)) // and all leave again
	outs := []outcome{first}
	look := func() {
		for _, args := range [][]string{
			{"image", "ls"}, {"image", "show", "image-00"}, {"image", "show", "image-14"}, {"image", "show", "image-15"}, {"image", "show", "image-16"},
			{"status"}, {"status", "--verbose"}, {"status", "--nagios"}, {"event", "ls"}, {"event", "ls", "--pending"}, {"image", "path", "image-14"},
			{"subscription", "ls"}, {"subscription", "show", "main"}, {"image", "ls", "--format", "vmcatcher"}, {"cache", "usage"},
			{"status", "-o", "json"}, {"image", "ls", "-o", "json"}, {"image", "show", "image-14", "-o", "json"}, {"event", "ls", "-o", "json"},
		} {
			outs = append(outs, s.vouch(args...))
		}
	}
	look()
	outs = append(outs, s.vouch("sync", "--verbose"), s.vouch("sync", "--log-format", "json", "--verbose", "-o", "json"))
	look()
	for _, out := range outs {
		if bad := unprintable(out.stdout + out.stderr); bad != "" {
			t.Errorf("vouch %s prints %q", strings.Join(out.args, " "), bad)
		}
	}
	if _, err := os.Lstat(canary); err == nil {
		t.Error("a payload was executed")
	}
	for path := range s.outsideTree() {
		if !outside[path] && path != "told" {
			t.Errorf("written outside cache and state: %s", path)
		}
	}
	told, err := os.ReadFile(s.path("told"))
	if err != nil || !strings.Contains(string(told), "VMCATCHER_EVENT_DC_TITLE=$(touch ") || !strings.Contains(string(told), `"specversion":"1.0"`) {
		t.Errorf("the handlers were told otherwise: %v\n%.2000s", err, told)
	}
}

// outsideTree lists the files of the site's directory that are in neither its
// cache nor its state.
func (s *site) outsideTree() map[string]bool {
	s.T.Helper()
	tree := map[string]bool{}
	err := filepath.WalkDir(s.dir, func(path string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(s.dir, path)
		if rel == "cache" || rel == "state" || rel == "etc" {
			return fs.SkipDir
		}
		tree[rel] = true
		return err
	})
	if err != nil {
		s.T.Fatal(err)
	}
	return tree
}

// unprintable finds what a terminal must not be sent, by our own account of it.
func unprintable(text string) string {
	if !utf8.ValidString(text) {
		return "invalid UTF-8"
	}
	for i, r := range text {
		if r != '\n' && r != '\t' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029') {
			return text[max(0, i-20):min(len(text), i+20)]
		}
	}
	return ""
}

// TestT22_HostileIdentifiers: no text of a list is a path.
func TestT22_HostileIdentifiers(t *testing.T) {
	s := newSite(t)
	s.handler("legacy", "env >>"+s.path("told")+"\n", object{"vmcatcher": true})
	good := picture{"good", "good bytes", nil}
	b := s.draft("1.0.0", good)
	hostile := []string{
		"../../x", "..", ".", "a/b", "/etc/cron.d/x", "templates", "a%00b", "x\ny", "-rf", ".hidden", "a b", "a*", "$(id)", "a\\b", "é",
		strings.Repeat("x", 129), "", "../endorsed/good", "\u202ex",
	}
	for n, id := range hostile {
		content := fmt.Sprint("hostile ", n)
		b.Image(id, []byte(content), s.pub.put(fmt.Sprint("/images/h", n), []byte(content)))
	}
	for n, uri := range []string{"file:///etc/passwd", "file:/etc/passwd", "/etc/passwd", "gopher://x/", "http://", "http://user:canary@127.0.0.1/", "javascript:x", ""} {
		b.Image(fmt.Sprint("uri-", n), []byte("x"), uri)
	}
	s.publish(b)
	outside := s.outsideTree()
	rep := s.sync(3)
	if rep.image("good").Result != "available" {
		t.Errorf("the good image did not come: %+v", rep)
	}
	failed := 0
	for _, i := range rep.Images {
		if i.Result == "failed" {
			failed++
			if i.Reason != "malformed-entry" && i.Reason != "network-denied" {
				t.Errorf("%q: %s", i.Identifier, i.Reason)
			}
		}
	}
	if x := s.index(); len(x.Images) != 1 {
		t.Errorf("index: %+v", x.Images)
	}
	names, _ := os.ReadDir(s.path("cache", "endorsed"))
	if len(names) != 1 {
		t.Errorf("endorsed/: %v", names)
	}
	for path := range s.outsideTree() {
		if !outside[path] && path != "told" {
			t.Errorf("written outside cache and state: %s", path)
		}
	}
	for _, args := range [][]string{{"status"}, {"image", "ls"}, {"sync", "-v"}, {"event", "ls"}, {"image", "ls", "--format", "vmcatcher"}} {
		out := s.vouch(args...)
		if bad := unprintable(out.stdout + out.stderr); bad != "" {
			t.Errorf("vouch %s prints %q", strings.Join(args, " "), bad)
		}
		if strings.Contains(out.stdout+out.stderr, "user:canary") {
			t.Errorf("vouch %s prints the user information of a URI:\n%s", strings.Join(args, " "), out.stdout)
		}
	}
	for _, id := range []string{"../../x", "-rf", "$(id)", "\x1b[2J", "../.vouch"} {
		out := s.vouch("image", "path", "--", id)
		if out.code != 2 && out.code != 3 || out.stdout != "" || unprintable(out.stderr) != "" {
			t.Errorf("image path %q: exit %d, %q, %q", id, out.code, out.stdout, out.stderr)
		}
	}
	if failed != 8 || len(rep.Problems) != len(hostile) {
		t.Errorf("%d images refused, %d entries without a usable identifier, want 8 and %d", failed, len(rep.Problems), len(hostile))
	}
}

// TestT40_HostileDocuments: one list after another that is no list at all.
func TestT40_HostileDocuments(t *testing.T) {
	s := newSite(t)
	s.publish(s.draft("1.0.0", picture{"one", "first", nil}))
	s.sync(0)
	before := s.cacheTree()
	for name, text := range map[string]string{
		"empty": "", "null": "null", "array": "[]", "number": "1", "truncated": `{"hv:imagelist":{`,
		"deep": strings.Repeat("[", 100000), "nul": "{\"hv:imagelist\":{\"dc:identifier\":\"\\u0000\"}}", "bom": "\ufeff{}",
		"other-type": `{"hv:revocations":{}}`, "twice": `{"hv:imagelist":{},"HV:IMAGELIST":{}}`, "html": "<html><body>503</body></html>",
		"latin1": "{\"hv:imagelist\":{\"dc:title\":\"\xe9\"}}",
	} {
		s.publish(listtest.NewList(s.At).Raw(text))
		if rep := s.sync(3); rep.Lists[0].Reason != "malformed-list" {
			t.Errorf("%s: %+v", name, rep.Lists)
		}
	}
	for name, raw := range map[string][]byte{
		"zeros": make([]byte, 100000), "binary": {0x30, 0x80, 0x06, 0x09}, "header-only": []byte("MIME-Version: 1.0\r\n\r\n"),
	} {
		s.pub.put("/list", raw)
		if rep := s.sync(3); rep.Lists[0].Result != "rejected" {
			t.Errorf("%s: %+v", name, rep.Lists)
		}
	}
	s.pub.put("/list", nil)
	if rep := s.sync(0); rep.Lists[0].Result != "unreachable" { // as good as no answer
		t.Errorf("an empty body: %+v", rep.Lists)
	}
	sameTree(t, before, s.cacheTree())
}

// TestT27_ChangedBetween: bytes that somebody changes between vouch's look at
// them and its own operation on the file are not taken for what that operation
// left. Here an old handler writes into an image that is about to leave.
func TestT27_ChangedBetween(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.handler("careless", `[ "$VMCATCHER_EVENT_TYPE" != ExpirePrefix ] || { chmod u+w "$VMCATCHER_CACHE_DIR_CACHE/one"; printf 'the wrong bytes' >"$VMCATCHER_CACHE_DIR_CACHE/one"; }`+"\n", object{"vmcatcher": true})
	s.publish(s.draft("1", picture{"one", "the right bytes", nil}))
	s.sync(0)
	s.subscription("main")["images"] = object{"exclude": []object{{"identifier": "one"}}}
	s.sync(0)
	if s.endorsed("one") != "" {
		t.Fatal("it is still there")
	}
	kept, _ := filepath.Glob(s.path("cache", "expired", "one.*"))
	if len(kept) != 1 {
		t.Fatalf("kept: %q", kept)
	}
	if raw, _ := os.ReadFile(kept[0]); string(raw) != "the wrong bytes" {
		t.Fatalf("the handler did not do what it is for: %q", raw)
	}
	delete(s.subscription("main"), "images")
	s.sync(3) // it says that bytes were changed
	if have := s.endorsed("one"); have != "the right bytes" {
		t.Errorf("published: %q", have)
	}
}
