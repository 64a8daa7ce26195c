package main_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// TestRemove_Credentials: what import wrote goes with the subscription; what
// somebody else put somewhere, or still uses, stays and is named.
func TestRemove_Credentials(t *testing.T) {
	t.Parallel()
	j := newJourney(t)
	conf := j.put("vo:\n    url: {URL}/private\n    endorser: {dn: '{DN}', ca: '{CA}'}\n    token: {TOKEN}\n", "hepix.yaml")
	j.expect(0, []string{"subscription", "import", conf})
	written, _ := filepath.Glob(j.path("etc", "credentials", "*"))
	if len(written) != 1 {
		t.Fatalf("import wrote %v", written)
	}
	token := written[0]
	if err := os.Chmod(token, 0o644); err != nil {
		t.Fatal(err)
	}
	j.expect(0, []string{"sync"}, "credentials: .*: others can read or change it .mode 0644.; chmod 600")
	if err := os.Chmod(token, 0o640); err != nil {
		t.Fatal(err)
	}
	j.sync(0)

	add := func(name, username, password string) {
		j.T.Helper()
		j.expect(0, []string{"subscription", "add", j.pub.URL + "/" + name, "--name", name, "--endorser-dn", j.Alice.DN(), "--endorser-ca", j.Alice.IssuerDN(),
			"--username-file", username, "--password-file", password})
	}
	remove := func(name string, says ...string) {
		j.T.Helper()
		j.expect(0, []string{"subscription", "rm", name}, says...)
	}
	there := func(want bool, paths ...string) {
		j.T.Helper()
		for _, path := range paths {
			if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) == want {
				j.T.Errorf("%s: %v", path, err)
			}
		}
	}
	other := j.put("canary", "elsewhere", "other")
	outside := j.put("canary", "elsewhere", "password")
	inside := j.put("canary", "etc", "credentials", "more", "password")
	shared := j.put("canary", "etc", "credentials", "shared")
	link := j.path("link-to-shared")
	if err := errors.Join(os.Chmod(shared, 0o600), os.Symlink(shared, link), os.Symlink(j.path("elsewhere"), j.path("etc", "credentials", "out"))); err != nil {
		t.Fatal(err)
	}
	through := j.path("etc", "credentials", "out", "other")
	j.handler("reads", "exit 0\n", object{"env_file": link})
	add("second", token, outside)
	add("third", j.path("etc", "credentials", "..", "vouch.yaml"), inside)
	add("fourth", shared, shared+"-missing")
	add("fifth", inside+"-missing", through)

	remove("vo", "subscription \"?vo\"? is removed; .*"+token+" is left: .*/second.yaml names it too")
	there(true, token)
	remove("second", "is removed, and "+token+"; ", outside+" is left: it is not in .*/etc/credentials")
	there(false, token)
	remove("third", "is removed, and "+inside+"; ", "vouch.yaml is left: it is not in")
	there(false, inside)
	remove("fourth", shared+" is left: .*/etc/vouch.yaml names it too")
	j.expect(3, []string{"subscription", "rm", "fifth"}, "subscription \"?fifth\"? is removed, but: "+through+" is left: .*escapes", "hint: then: remove the file yourself")
	there(true, outside, other, shared, link, through, j.configFile())
	there(false, j.path("etc", "subscriptions.d", "fifth.yaml"))
	j.expect(0, []string{"subscription", "ls"})
}
