package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The map of the packages (README, "Development"): who must not know whom.
// An import that breaks it fails here by name.
func TestLayering(t *testing.T) {
	forbidden := map[string][]string{
		"vouch/imagelist":         {"vouch/imagelist/publisher", "vouch/cache", "vouch/subscriber", "net/http", "os", "os/exec", "database/"},
		"vouch/imagelist/smime":   {"vouch/imagelist/trust", "vouch/cache", "vouch/subscriber", "net/http", "encoding/json", "os"},
		"vouch/imagelist/trust":   {"vouch/imagelist/smime", "vouch/cache", "vouch/subscriber", "net/http", "os/exec"},
		"vouch/imagelist/verdict": {"vouch/cache", "vouch/subscriber", "os", "net/http"},

		"vouch/imagelist/publisher":             {"vouch/cache", "vouch/subscriber", "vouch/imagelist/listtest", "github.com/urfave", "os/exec"},
		"vouch/imagelist/publisher/credential":  {"vouch/cache", "vouch/subscriber", "vouch/imagelist/listtest", "net", "encoding/json"},
		"vouch/imagelist/publisher/destination": {"vouch/imagelist", "vouch/cache", "vouch/subscriber"},
		"vouch/imagelist/publisher/diskimage":   {"vouch/imagelist", "vouch/cache", "vouch/subscriber", "net/http", "os/exec"},
		"vouch/imagelist/publisher/history":     {"vouch/imagelist/trust", "vouch/imagelist/publisher/sbom", "vouch/cache", "vouch/subscriber", "net/http", "os/exec"},
		"vouch/imagelist/publisher/sbom":        {"vouch/imagelist", "vouch/cache", "vouch/subscriber", "os", "net/http", "os/exec"},

		"vouch/cache":                    {"vouch/imagelist", "vouch/subscriber", "net/http", "github.com/dgraph-io"},
		"vouch/subscriber/fetch":         {"vouch/cache", "vouch/imagelist/smime", "vouch/imagelist/trust", "vouch/subscriber/event", "vouch/subscriber/metadata"},
		"vouch/subscriber/event":         {"vouch/cache", "vouch/imagelist", "vouch/subscriber/fetch", "vouch/subscriber/metadata", "net/http"},
		"vouch/subscriber/event/webhook": {"vouch/cache", "vouch/imagelist", "vouch/subscriber/metadata", "os/exec"},
		"vouch/subscriber/event/nats":    {"vouch/cache", "vouch/imagelist", "vouch/subscriber/metadata", "vouch/subscriber/fetch", "net/http", "os"},
		"vouch/subscriber/event/amqp":    {"vouch/cache", "vouch/imagelist", "vouch/subscriber/metadata", "vouch/subscriber/fetch", "net/http", "os"},

		"vouch/subscriber":         {"vouch/imagelist/publisher", "vouch/imagelist/listtest", "vouch/cache/cachetest", "github.com/urfave", "net/http"},
		"vouch/subscriber/legacy":  {"vouch", "os", "net/http", "database/"},
		"vouch/subscriber/metrics": {"vouch/cache", "vouch/imagelist", "vouch/subscriber/fetch", "vouch/subscriber/event", "vouch/subscriber/metadata", "os"},
		"vouch/subscriber/page":    {"vouch/cache", "vouch/imagelist", "vouch/subscriber/fetch", "vouch/subscriber/metadata", "os/exec", "text/template"},
		"vouch/subscriber/secret":  {"vouch", "net", "os/exec"},
		"vouch/subscriber/serve":   {"vouch/subscriber/metadata", "vouch/subscriber/page", "vouch/subscriber/metrics", "vouch/imagelist/publisher", "vouch/imagelist/smime", "github.com/urfave", "os/exec"},
	}
	for pkg, bad := range forbidden {
		for _, imp := range imports(t, pkg) {
			for _, b := range bad {
				if imp == b || strings.HasSuffix(b, "/") && strings.HasPrefix(imp, b) || strings.HasPrefix(imp, b+"/") {
					t.Errorf("%s must not import %s", pkg, imp)
				}
			}
		}
	}
}

// Two libraries are behind one package each, so that replacing one is a
// change in one room.
func TestLayering_OneImporter(t *testing.T) {
	owner := map[string]string{
		"go.mozilla.org/pkcs7":               "vouch/imagelist/smime",
		"software.sslmate.com/src/go-pkcs12": "vouch/imagelist/publisher/credential",
		"github.com/pkg/sftp":                "vouch/imagelist/publisher/destination",
		"golang.org/x/mod/sumdb/tlog":        "vouch/imagelist/publisher/history",
		"golang.org/x/mod/sumdb/note":        "vouch/imagelist/publisher/history",
		"github.com/dgraph-io/badger/v4":     "vouch/subscriber/metadata",
		"github.com/urfave/cli/v2":           "vouch/cmd/vouch",
		"github.com/vbauerster/mpb/v8":       "vouch/cmd/vouch",
		"github.com/nats-io/nats.go":         "vouch/subscriber/event/nats",
		"github.com/rabbitmq/amqp091-go":     "vouch/subscriber/event/amqp",
		"vouch/subscriber/metadata":          "vouch/subscriber",

		"github.com/prometheus/client_golang/prometheus":            "vouch/subscriber/metrics",
		"github.com/prometheus/client_golang/prometheus/collectors": "vouch/subscriber/metrics",
		"github.com/prometheus/client_golang/prometheus/promhttp":   "vouch/subscriber/metrics",
	}
	for _, pkg := range strings.Fields(goTool(t, "list", "vouch/...")) {
		for _, imp := range imports(t, pkg) {
			if want := owner[imp]; want != "" && want != pkg && pkg != imp {
				t.Errorf("%s imports %s, which only %s may", pkg, imp, want)
			}
		}
	}
}

// imports are a package's own imports, tests left out.
func imports(t *testing.T, pkg string) []string {
	t.Helper()
	list := strings.Fields(goTool(t, "list", "-f", "{{join .Imports \"\\n\"}}", pkg))
	slices.Sort(list)
	return list
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("go", args...).CombinedOutput()
	if err != nil {
		t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
