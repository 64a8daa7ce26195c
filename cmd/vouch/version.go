package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/urfave/cli/v2"
)

func init() {
	cli.VersionFlag = &cli.BoolFlag{Name: "version", Usage: "print the version", DisableDefaultText: true}
	cli.VersionPrinter = func(c *cli.Context) { fmt.Fprintln(c.App.Writer, "vouch", c.App.Version) }
}

// What "make package" says of a build that does not look at the repository it
// stands in, so that the same commit makes the same bytes anywhere:
// -ldflags "-X main.release=…".
var (
	release         string
	releaseRevision string
	releaseTime     string
)

// versionDocument is vouch/version/v1.
type versionDocument struct {
	Schema   string `json:"schema"`
	Version  string `json:"version"`
	Revision string `json:"revision"`
	Time     string `json:"time"` // of the revision
	Modified bool   `json:"modified"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// version is what the build recorded of itself.
func version() versionDocument {
	v := versionDocument{Schema: "vouch/version/v1", Version: "devel", Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	if release != "" {
		v.Version, v.Revision, v.Time = release, releaseRevision, releaseTime
		return v
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return v
	}
	if info.Main.Version != "" && info.Main.Version != "(devel)" {
		v.Version = info.Main.Version
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.time":
			v.Time = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		}
	}
	return v
}

func versionText() string {
	v := version()
	text := v.Version
	if len(v.Revision) >= 12 && release == "" {
		text += " " + v.Revision[:12]
	}
	if v.Modified {
		text += " (modified)"
	}
	return text + " " + v.Go + " " + v.Platform
}

func (s *session) versionCommand() *cli.Command {
	return &cli.Command{
		Name: "version", Usage: "print the version",
		Action: takes(0, 0, func(*cli.Context) error {
			return s.result(version(), func() error {
				fmt.Fprintln(s.out, "vouch", versionText())
				return nil
			})
		}),
	}
}
