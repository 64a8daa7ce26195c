package page

import (
	"time"

	"vouch/subscriber"
)

// Site says where a site's files are, and what is not in them.
type Site struct {
	Files              *subscriber.Files
	StateDir, CacheDir string
	Version            string                         // of the program
	Alarm              func(last time.Time) time.Time // when a last sync becomes a problem; nil = never
}

// Read is for Handler. Errors are those of subscriber.ReadStatus; a catalogue
// or a log that cannot be read is left out.
func (s *Site) Read() (View, error) {
	v := View{At: time.Now(), Version: s.Version}
	var err error
	if v.Status, err = s.Files.Status(s.StateDir); err == nil {
		if s.Alarm != nil {
			v.Alarm = s.Alarm(v.Status.LastSync)
		}
		v.Index, _ = s.Files.Index(s.CacheDir)
		v.Events, _ = s.Files.Events(s.StateDir)
	}
	return v, err
}
