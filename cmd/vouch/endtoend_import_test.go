package main_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// journey is a site that another tool has served until now: a publisher of two
// lists, and the two of its images that the tool has in its cache.
type journey struct {
	*site
	one, two, unwanted picture
}

const tokenOfJourney = "token-canary-7"

// newJourney publishes a list at /list that anybody may have, with one image,
// and another at /private, for the token only, of which one of two is wanted.
func newJourney(t *testing.T) *journey {
	s := newSite(t)
	delete(s.conf, "subscriptions")
	j := &journey{
		site:     s,
		one:      picture{id: "aaaaaaaa-0000-4000-8000-000000000001", content: strings.Repeat("the first image ", 5000)},
		two:      picture{id: "bbbbbbbb-0000-4000-8000-000000000001", content: strings.Repeat("the second image ", 5000)},
		unwanted: picture{id: "bbbbbbbb-0000-4000-8000-000000000002", content: strings.Repeat("another ", 5000)},
	}
	s.publishAt("/list", s.draft("1.0", j.one).ID("11111111-0000-4000-8000-000000000001"))
	s.publishAt("/private", s.draft("1.0", j.two, j.unwanted).ID("11111111-0000-4000-8000-000000000002"))
	s.pub.hook("/private", j.private)
	return j
}

// private serves a list as AppDB does: the token is the user name.
func (j *journey) private(w http.ResponseWriter, r *http.Request) {
	if user, password, _ := r.BasicAuth(); user != tokenOfJourney || password != "x-oauth-basic" {
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	j.pub.mu.Lock()
	body := j.pub.files["/private"]
	j.pub.mu.Unlock()
	j.pub.serve(w, r, body)
}

func (j *journey) read(path string) []byte {
	j.T.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		j.T.Fatal(err)
	}
	return raw
}

// put writes a file of the old tool's, with a mapping of names in it replaced.
func (j *journey) put(text string, path ...string) string {
	j.T.Helper()
	for name, value := range map[string]string{
		"URL": j.pub.URL, "HOST": strings.TrimPrefix(j.pub.URL, "http://"), "TOKEN": tokenOfJourney,
		"ONE": j.one.id, "TWO": j.two.id, "UNWANTED": j.unwanted.id, "DN": j.Alice.DN(), "CA": j.Alice.IssuerDN(),
	} {
		text = strings.ReplaceAll(text, "{"+name+"}", value)
	}
	file := j.path(path...)
	err := os.MkdirAll(filepath.Dir(file), 0o755)
	if err == nil {
		err = os.WriteFile(file, []byte(text), 0o644)
	}
	if err != nil {
		j.T.Fatal(err)
	}
	return file
}

// moves imports, adopts and synchronises: the images are there, and not one
// byte of any was fetched; the secret is in one file and nowhere else.
func (j *journey) moves(oldCache string, images []picture, importing ...string) {
	j.T.Helper()
	out := j.expect(0, append([]string{"subscription", "import"}, importing...))
	j.noSecret("import", out.stdout+out.stderr)
	j.expect(0, []string{"config", "check"}, "good: 2 subscriptions")
	before := treeOf(j.T, oldCache)
	j.expect(0, []string{"cache", "adopt", oldCache}, fmt.Sprintf("%d images adopted", len(images)))
	rep := j.sync(0)
	if n := j.pub.sent.Load(); n != 0 {
		j.T.Errorf("%d bytes of images were downloaded", n)
	}
	for _, i := range images {
		if j.endorsed(i.id) != i.content {
			j.T.Errorf("%s is not there after the move: %+v", i.id, rep.image(i.id))
		}
	}
	if n := len(j.index().Images); n != len(images) {
		j.T.Errorf("%d images in the index, want %d", n, len(images))
	}
	if after := treeOf(j.T, oldCache); fmt.Sprint(after) != fmt.Sprint(before) {
		j.T.Error("the old cache is another")
	}
	j.noSecretInFiles()
	j.expect(0, append([]string{"subscription", "import"}, importing...), "subscribed to already", "0 subscriptions written")
}

// treeOf is the content of the files below a directory.
func treeOf(t testing.TB, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		tree[path] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

func (j *journey) noSecret(where, text string) {
	j.T.Helper()
	if strings.Contains(text, "canary") {
		j.T.Errorf("the token is in %s: %.200q", where, text)
	}
}

// noSecretInFiles looks into everything that vouch has written.
func (j *journey) noSecretInFiles() {
	j.T.Helper()
	found := 0
	for _, dir := range []string{"etc", "state", "cache"} {
		for path, content := range treeOf(j.T, j.path(dir)) {
			if filepath.Dir(path) != j.path("etc", "credentials") {
				j.noSecret(path, content)
				continue
			}
			info, err := os.Stat(path)
			if err != nil || info.Mode().Perm() != 0o600 || content != tokenOfJourney+"\n" {
				j.T.Errorf("%s: %v, %v, %q", path, err, info.Mode(), content)
			}
			found++
		}
	}
	if found != 1 {
		j.T.Errorf("%d credential files, want 1", found)
	}
}

const journeyDatabase = `
CREATE TABLE endorser (id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, PRIMARY KEY (id), UNIQUE (identifier));
CREATE TABLE subscription (id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, description VARCHAR(200), uri VARCHAR(200) NOT NULL,
	authorised BOOLEAN NOT NULL, imagelist_latest INTEGER, updated DATETIME, "trustAnchor" INTEGER NOT NULL, "userName" VARCHAR(200),
	password VARCHAR(200), "updateMode" INTEGER NOT NULL, PRIMARY KEY (id), UNIQUE (identifier), UNIQUE (uri));
CREATE TABLE "endorserPrincible" (id INTEGER NOT NULL, hv_dn VARCHAR(50) NOT NULL, hv_ca VARCHAR(50) NOT NULL, endorser INTEGER, PRIMARY KEY (id));
CREATE TABLE "subscriptionAuth" (id INTEGER NOT NULL, subscription INTEGER, endorser INTEGER, authorised BOOLEAN NOT NULL, PRIMARY KEY (id));
CREATE TABLE "ImageDefinition" (id INTEGER NOT NULL, identifier VARCHAR(50) NOT NULL, latest INTEGER, cache INTEGER NOT NULL, subscription INTEGER, PRIMARY KEY (id));
INSERT INTO endorser VALUES (1, 'Alice');
INSERT INTO "endorserPrincible" VALUES (1, '{DN}', '{CA}', 1);
INSERT INTO subscription VALUES
	(1, '11111111-0000-4000-8000-000000000001', 'Endorsed images', '{URL}/list', 1, NULL, NULL, 0, NULL, NULL, 3),
	(2, '11111111-0000-4000-8000-000000000002', 'Private images', '{URL}/private', 1, NULL, NULL, 0, '{TOKEN}', 'x-oauth-basic', 0);
INSERT INTO "subscriptionAuth" VALUES (1, 1, 1, 1), (2, 2, 1, 1);
INSERT INTO "ImageDefinition" VALUES (1, '{ONE}', 1, 1, 1), (2, '{TWO}', 2, 1, 2), (3, '{UNWANTED}', 3, 0, 2);
`

// From vmcatcher: its cache has files by identifier, and an index. A handler
// of its day sees the images that are there already as available.
func TestMove_VMCatcher(t *testing.T) {
	sqlite := requireTool(t, "sqlite3")
	j := newJourney(t)
	for _, i := range []picture{j.one, j.two} {
		j.put(i.content, "vmimages", "endorsed", i.id)
	}
	j.put(`{"{ONE}": {"filename": "{ONE}", "message": "MIME-Version: 1.0"}}`, "vmimages", "endorsed", "cache.index")
	j.put("half an im", "vmimages", "partial", j.unwanted.id)
	j.handler("old", `echo "$VMCATCHER_EVENT_TYPE $VMCATCHER_EVENT_DC_IDENTIFIER" >> `+j.path("told")+"\n", object{"vmcatcher": true})
	database := j.path("vmcatcher.db")
	cmd := exec.Command(sqlite, "-batch", "-init", "/dev/null", database)
	cmd.Stdin = bytes.NewReader(j.read(j.put(journeyDatabase, "vmcatcher.sql")))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sqlite3: %v\n%s", err, out)
	}
	before := j.read(database)
	j.moves(j.path("vmimages"), []picture{j.one, j.two}, database)
	if !bytes.Equal(before, j.read(database)) {
		t.Error("the database is another")
	}
	told := string(j.read(j.path("told")))
	if strings.Count(told, "AvailablePostfix "+j.one.id) != 1 || strings.Contains(told, j.unwanted.id) {
		t.Errorf("the old handler was told:\n%s", told)
	}
	if doc := j.imported(database); len(doc.Subscriptions) != 0 || len(doc.Left) != 2 {
		t.Errorf("again: %+v", doc)
	}
}

// From cloudkeeper: it keeps no files, so that they were saved from Glance, and
// it names no endorsers.
func TestMove_Cloudkeeper(t *testing.T) {
	j := newJourney(t)
	for n, i := range []picture{j.one, j.two, j.unwanted} {
		j.put(i.content, "saved", fmt.Sprintf("glance-%d", n))
	}
	j.put(strings.Repeat("converted", 9000), "saved", "glance-9")
	conf := j.put("# One image list per line\n{URL}/list\nhttp://{TOKEN}:x-oauth-basic@{HOST}/private\n", "image-lists.conf")
	all := []picture{j.one, j.two, j.unwanted}
	j.expect(3, []string{"subscription", "import", conf}, "line 2 .*who may sign it", "line 3 .*who may sign it")
	if _, err := os.Stat(j.path("etc", "subscriptions.d")); err == nil {
		t.Error("something was written")
	}
	j.moves(j.path("saved"), all, conf, "--trust-on-first-use")
}

// From atrope: its cache has a directory for each list.
func TestMove_Atrope(t *testing.T) {
	j := newJourney(t)
	j.put(j.one.content, "lists", "public", "images", j.one.id)
	j.put(j.two.content, "lists", "vo.example.org", "images", j.two.id)
	conf := j.put(`public:
    url: {URL}/list
    endorser: &alice
        dn: '{DN}'
        ca: '{CA}'
    images: []
vo.example.org:
    url: {URL}/private
    endorser: *alice
    token: {TOKEN}
    images:
        - {TWO}
    prefix: "VO "
`, "hepix.yaml")
	j.moves(j.path("lists"), []picture{j.one, j.two}, conf)
}

// An import that cannot write everything leaves nothing behind.
func TestMove_AllOrNothing(t *testing.T) {
	j := newJourney(t)
	conf := j.put("http://{TOKEN}:x-oauth-basic@{HOST}/private\n{URL}/list\n", "image-lists.conf")
	j.put("in the way", "etc", "subscriptions.d.none") // makes etc
	if err := os.WriteFile(j.path("etc", "subscriptions.d"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	args := []string{"subscription", "import", conf, "--endorser-dn", j.Alice.DN(), "--endorser-ca", j.Alice.IssuerDN()}
	j.expect(2, args)
	if err := os.Remove(j.path("etc", "subscriptions.d")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/proc/nowhere", j.path("etc", "subscriptions.d")); err != nil { // dangling: cannot be made
		t.Fatal(err)
	}
	out := j.expect(2, args, "nothing was written")
	j.noSecret("an error", out.stdout+out.stderr)
	if left, _ := filepath.Glob(j.path("etc", "credentials", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Root writes no secrets that the user who runs vouch could not read.
func TestMove_AnotherUsersState(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can give files away")
	}
	j := newJourney(t)
	conf := j.put("http://{TOKEN}:x-oauth-basic@{HOST}/private\n", "image-lists.conf")
	if err := errors.Join(os.Mkdir(j.path("state"), 0o700), os.Chown(j.path("state"), 4711, 4711)); err != nil {
		t.Fatal(err)
	}
	j.expect(2, []string{"subscription", "import", conf, "--endorser-dn", j.Alice.DN(), "--endorser-ca", j.Alice.IssuerDN()}, "user 4711", "hint: run it as the user")
	if left, _ := filepath.Glob(j.path("etc", "*.d", "*")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// importedDocument is what the tests read of vouch/import/v1.
type importedDocument struct {
	Schema        string
	Subscriptions []struct{ Name string }
	Left          []struct{ Source, URL, Why string }
	Exit          int
}

func (j *journey) imported(args ...string) importedDocument {
	j.T.Helper()
	out := j.vouch(append([]string{"subscription", "import", "-o", "json"}, args...)...)
	var doc importedDocument
	if err := json.Unmarshal([]byte(out.stdout), &doc); err != nil || doc.Schema != "vouch/import/v1" || doc.Exit != out.code {
		j.T.Fatalf("exit %d, %v\n%s%s", out.code, err, out.stdout, out.stderr)
	}
	return doc
}
