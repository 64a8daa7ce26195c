package metrics_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
)

const (
	rulesFile     = "../../etc/prometheus/vouch.rules.yml"
	rulesTestFile = "../../etc/prometheus/vouch.rules.test.yml"
	dashboardFile = "../../etc/grafana/vouch.json"
)

// promtool runs it, and fails the test when it is not content.
func promtool(t *testing.T, stdin string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("promtool"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("promtool is not installed")
		}
		t.Skip("promtool is not installed")
	}
	c := exec.Command("promtool", args...)
	c.Stdin = strings.NewReader(stdin)
	if out, err := c.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	} else if stdin != "" && len(out) > 0 {
		t.Errorf("promtool %s: %s", strings.Join(args, " "), out)
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// Names, units and help are as Prometheus wants them.
func TestPromtool_Metrics(t *testing.T) {
	var own strings.Builder // the runtime's names are its own affair
	for line := range strings.Lines(everything(t)) {
		if strings.HasPrefix(strings.TrimPrefix(strings.TrimPrefix(line, "# HELP "), "# TYPE "), "vouch_") {
			own.WriteString(line)
		}
	}
	promtool(t, own.String(), "check", "metrics")
}

// The rules are sound, and each alert fires when it should and not before.
func TestPromtool_Rules(t *testing.T) {
	promtool(t, "", "check", "rules", "--lint=all", "--lint-fatal", rulesFile)
	promtool(t, "", "test", "rules", rulesTestFile)
}

// The README's configuration is one.
func TestPromtool_Readme(t *testing.T) {
	const there = "/usr/share/vouch/prometheus/vouch.rules.yml"
	_, rest, _ := strings.Cut(string(read(t, "../../README.md")), "```text\nscrape_configs:")
	block, _, _ := strings.Cut(rest, "```")
	here, err := filepath.Abs(rulesFile)
	if err != nil || !strings.Contains(block, there) {
		t.Fatalf("%v in %q", err, block)
	}
	file := filepath.Join(t.TempDir(), "prometheus.yml")
	if err := os.WriteFile(file, []byte("scrape_configs:"+strings.Replace(block, there, here, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "config", file)
}

type rule struct {
	Alert       string
	Expr        string
	For         string
	Labels      map[string]string
	Annotations map[string]string
}

func rules(t *testing.T) []rule {
	t.Helper()
	var file struct{ Groups []struct{ Rules []rule } }
	if err := yaml.Unmarshal(read(t, rulesFile), &file); err != nil {
		t.Fatal(err)
	}
	var all []rule
	for _, g := range file.Groups {
		all = append(all, g.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("only %d rules", len(all))
	}
	return all
}

// Each alert has been seen to fire, says how grave it is and what to do, and
// asks for metrics that there are.
func TestRules(t *testing.T) {
	known := described(everything(t))
	tests := string(read(t, rulesTestFile))
	for _, r := range rules(t) {
		if !strings.Contains(tests, fmt.Sprintf("ALERTS{alertname=%q,", r.Alert)) {
			t.Errorf("%s: no test has it fire", r.Alert)
		}
		if s := r.Labels["severity"]; s != "warning" && s != "critical" {
			t.Errorf("%s: severity %q", r.Alert, s)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s: it does not say what to do", r.Alert)
		}
		expectKnown(t, r.Alert, r.Expr, known)
	}
}

// expectKnown checks each name and label that an expression has.
func expectKnown(t *testing.T, where, expr string, known map[string][2]string) {
	t.Helper()
	seen := false
	for _, use := range regexp.MustCompile(`\b(vouch_\w+|process_\w+|up)\b(?:\{([^}]*)\})?`).FindAllStringSubmatch(expr, -1) {
		seen = true
		d, ok := known[use[1]]
		if !strings.HasPrefix(use[1], "vouch_") {
			continue
		}
		if !ok {
			t.Errorf("%s: there is no %s", where, use[1])
		}
		for _, l := range regexp.MustCompile(`(\w+)\s*[=!]~?\s*"`).FindAllStringSubmatch(use[2], -1) {
			if l[1] != "job" && l[1] != "instance" && !strings.Contains(" "+d[0]+" ", " "+l[1]+" ") {
				t.Errorf("%s: %s has no label %s", where, use[1], l[1])
			}
		}
	}
	if !seen {
		t.Errorf("%s: no metric in %q", where, expr)
	}
}

type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ X, Y, W, H int }
	Targets []struct {
		RefID string `json:"refId"`
		Expr  string
	}
	Datasource struct{ UID string }
}

func dashboard(t *testing.T) []panel {
	t.Helper()
	var d struct {
		UID, Title    string
		SchemaVersion int
		Panels        []panel
		Templating    struct{ List []struct{ Name, Type string } }
	}
	if err := json.Unmarshal(read(t, dashboardFile), &d); err != nil {
		t.Fatal(err)
	}
	if d.UID == "" || d.Title == "" || d.SchemaVersion < 36 || len(d.Templating.List) != 2 || len(d.Panels) < 10 {
		t.Fatalf("dashboard: %+v", d)
	}
	return d.Panels
}

// The dashboard's panels are what Grafana expects: ids of their own, places
// that do not overlap, the data source that the reader picks.
func TestDashboard(t *testing.T) {
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range dashboard(t) {
		if ids[p.ID] || p.ID == 0 || p.Title == "" || p.Type != "stat" && p.Type != "table" && p.Type != "timeseries" || p.Datasource.UID != "${datasource}" {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s is at %d,%d, where %q is", p.Title, x, y, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		refs := map[string]bool{}
		for _, target := range p.Targets {
			if refs[target.RefID] || target.RefID == "" {
				t.Errorf("%s: two targets are %q", p.Title, target.RefID)
			}
			refs[target.RefID] = true
		}
	}
}

// Each of its expressions is one, and asks for metrics that there are.
func TestPromtool_Dashboard(t *testing.T) {
	known := described(everything(t))
	file := bytes.NewBufferString("groups:\n- name: dashboard\n  rules:\n")
	for _, p := range dashboard(t) {
		for _, target := range p.Targets {
			expectKnown(t, p.Title, target.Expr, known)
			expr := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
			if strings.Contains(expr, "$") {
				t.Errorf("%s: a variable in %q", p.Title, expr)
			}
			fmt.Fprintf(file, "  - {record: 'panel%d:%s', expr: '%s'}\n", p.ID, target.RefID, expr)
		}
	}
	rules := filepath.Join(t.TempDir(), "dashboard.yml")
	if err := os.WriteFile(rules, file.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "", "check", "rules", rules)
}
