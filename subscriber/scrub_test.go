package subscriber

import (
	"testing"
	"time"
)

// However many blobs there are and whenever they came, none goes unchecked for
// longer than check_every, and no hour does more than two shares.
func TestTurn(t *testing.T) {
	const every, size = 7 * 24 * time.Hour, 1 << 30
	start := time.Date(2026, 11, 25, 0, 0, 0, 0, time.UTC)
	var all []suspect
	for n := range 1000 {
		s := suspect{size: size, checked: start} // downloaded in one day
		s.digest[0], s.digest[1] = byte(n), byte(n>>8)
		all = append(all, s)
	}
	most := 0
	for at := start; at.Before(start.Add(4 * every)); at = at.Add(scrubEvery) {
		due := turn(all, every, at)
		most = max(most, len(due))
		for i := range due {
			due[i].checked = at
		}
		for _, s := range all {
			if age := at.Sub(s.checked); age > every {
				t.Fatalf("%v: one was not checked for %v", at, age)
			}
		}
	}
	if most > 2*1000/168+1 {
		t.Errorf("%d blobs in one hour", most)
	}
}
