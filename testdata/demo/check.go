package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"vouch/imagelist"
)

// events asks for exactly these events, "type subject" in any order, since the
// last time they were as asked. Those of the run itself do not count.
func (s *shell) events(want ...string) error {
	out, err := s.output(0, "vouch event ls -o json")
	if err != nil {
		return err
	}
	var have []string
	for line := range strings.Lines(out) {
		var e struct{ Type, Subject string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			return fmt.Errorf("vouch event ls: %w: %q", err, line)
		}
		if !strings.HasPrefix(e.Type, "sync.") {
			have = append(have, e.Type+" "+e.Subject)
		}
	}
	news := have[min(s.heard, len(have)):]
	slices.Sort(news)
	slices.Sort(want)
	if !slices.Equal(news, want) {
		return fmt.Errorf("events:\n%s\nwanted:\n%s", strings.Join(news, "\n"), strings.Join(want, "\n"))
	}
	s.heard = len(have)
	return nil
}

// published asks that exactly these images are offered, byte for byte, and that
// the handler has the same.
func (s *shell) published(want map[imagelist.ImageID][]byte) error {
	for _, dir := range []string{"cache/endorsed", "store"} {
		files, err := filepath.Glob(filepath.Join(s.dir, dir, "[^.]*"))
		if err != nil {
			return err
		}
		if len(files) != len(want) {
			return fmt.Errorf("%s has %q, not %d images", dir, files, len(want))
		}
		for id, data := range want {
			have, err := os.ReadFile(filepath.Join(s.dir, dir, string(id)))
			if err != nil {
				return err
			}
			if !bytes.Equal(have, data) {
				return fmt.Errorf("%s/%s has other bytes than the endorser's", dir, id)
			}
		}
	}
	return nil
}
