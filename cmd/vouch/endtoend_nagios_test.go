package main_test

import (
	"errors"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"vouch/imagelist/listtest"
)

// plugInLine is what the Monitoring Plugins guidelines ask of one line of
// output: a state, text, and performance data 'label'=value[unit].
var plugInLine = regexp.MustCompile(`^VOUCH (OK|WARNING|CRITICAL|UNKNOWN) - [^|]+( \| [a-z_]+=-?[0-9]+(s|B|c|%)?( [a-z_]+=-?[0-9]+(s|B|c|%)?)*)?\n$`)

// TestNagios_Runner: negate, of the Monitoring Plugins themselves, runs the
// check as a monitoring system does. It takes each state for what it is.
func TestNagios_Runner(t *testing.T) {
	t.Parallel()
	const negate = "/usr/lib/nagios/plugins/negate"
	if _, err := os.Stat(negate); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("monitoring-plugins-basic is not installed")
	}
	s := newSite(t)
	check := func(state string, code int) {
		t.Helper()
		plain := s.vouch("status", "--nagios")
		if plain.code != code || plain.stderr != "" || !plugInLine.MatchString(plain.stdout) || !strings.HasPrefix(plain.stdout, "VOUCH "+state+" - ") {
			t.Errorf("%s: exit %d, %q, %q", state, plain.code, plain.stdout, plain.stderr)
		}
		// Each state becomes another: 0 to 2, 1 to 3, 2 to 0, 3 to 1.
		cmd := s.command("status", "--nagios")
		run := exec.Command(negate, append([]string{"-s", "-o", "CRITICAL", "-w", "UNKNOWN", "-c", "OK", "-u", "WARNING", cmd.Path}, cmd.Args[1:]...)...)
		run.Env = cmd.Env
		out, err := run.Output()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		turned := map[string]string{"OK": "CRITICAL", "WARNING": "UNKNOWN", "CRITICAL": "OK", "UNKNOWN": "WARNING"}[state]
		if have := run.ProcessState.ExitCode(); have != (code+2)%4 || !strings.HasPrefix(string(out), "VOUCH "+turned+" - ") {
			t.Errorf("%s, through negate: exit %d, %q", state, have, out)
		}
	}
	check("UNKNOWN", 3) // nothing has run
	s.publish(s.draft("1", picture{"one", "first", nil}))
	s.sync(0)
	check("OK", 0)
	s.pub.put("/list", s.Message(listtest.Tampered()))
	s.sync(3)
	check("CRITICAL", 2)
	s.publish(s.draft("2", picture{"one", "first", nil}))
	s.sync(0)
	s.pub.hook("/list", func(w http.ResponseWriter, r *http.Request) { http.NotFound(w, r) })
	s.sync(0)
	check("WARNING", 1)
	s.conf["nonsense"] = true
	check("UNKNOWN", 3) // a configuration nobody can read
	delete(s.conf, "nonsense")
	if bad := s.vouch("status", "--nagios", "--nonsense"); bad.code != 3 || !plugInLine.MatchString(bad.stdout) {
		t.Errorf("a flag that does not exist: exit %d, %q", bad.code, bad.stdout)
	}
}
