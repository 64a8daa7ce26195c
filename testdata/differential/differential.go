// Package differential asks for a second opinion on messages nobody thought
// of: cases, bent in their text, their structure, their certificates and what
// they are asked, mostly with true signatures again. vouch and both verifiers
// of OpenSSL judge each of them.
//
// Everything follows from a seed, so that message 4711 of seed 7 is the same
// one tomorrow.
package differential

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"vouch/imagelist/smime"
	"vouch/imagelist/verdict"
	"vouch/testdata/cases"
	"vouch/testdata/cases/judge"
)

// Report is what came out of a run.
type Report struct {
	Made     int
	Accepted int            // by us; all of them were shown to OpenSSL
	Asked    int            // of those we refused, how many OpenSSL was shown
	Looser   map[string]int // accepted, refused by OpenSSL, by class of cases.Differences
	Stricter map[string]int // refused, accepted by OpenSSL, by class of Stricter
	Findings []Finding      // outside every class
}

// Finding is a message whose verdicts differ for no reason that is written down.
type Finding struct {
	Case *cases.Case // the message, its verdicts as they are
	What string
}

// Write puts the message into a directory, as a case, and returns its path.
func (f Finding) Write(dir string) (string, error) {
	path := filepath.Join(dir, f.Case.ID+".case")
	return path, os.WriteFile(path, f.Case.Bytes(), 0o644)
}

// sample is how many of those we refuse for one reason are shown to OpenSSL.
const sample = 5

// Run judges n messages of a seed, on all processors: first all of them
// itself, then with OpenSSL those that we accept and a few of each reason.
func Run(seed uint64, n int) (*Report, error) {
	g, err := newGenerator(seed)
	if err != nil {
		return nil, err
	}
	d := newDifferential(g)
	ours := make([]opinion, n)
	inParallel(n, func(i int) { ours[i] = d.ours(i) })
	var ask []int
	seen := map[string]int{}
	for i, o := range ours {
		why := o.code + " " + varying.ReplaceAllString(o.detail, "#")
		switch d.report.Made++; {
		case o.accepted():
			d.report.Accepted++
			ask = append(ask, i)
		case seen[why] < sample:
			seen[why]++
			d.report.Asked++
			ask = append(ask, i)
		}
	}
	inParallel(len(ask), func(k int) {
		c, base := g.make(ask[k])
		d.compare(c, base, ours[ask[k]])
	})
	slices.SortFunc(d.report.Findings, func(a, b Finding) int { return strings.Compare(a.Case.ID, b.Case.ID) })
	return d.report, d.err
}

// varying is what differs between two refusals for one reason.
var varying = regexp.MustCompile(`"[^"]*"|[0-9a-f]{8}\.|(asn1|invalid|serial|/|within).*|[0-9]+`)

func inParallel(n int, do func(i int)) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	group.Wait()
}

// Replay judges a message that was written as a finding.
func Replay(path string) (*Report, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	c, err := cases.Parse(data)
	if err != nil {
		return nil, err
	}
	d := newDifferential(nil)
	all, err := cases.Read()
	for _, base := range all {
		if strings.HasSuffix(c.ID, "-"+base.ID) {
			d.report.Made++
			d.compare(c, base, d.judge(c))
		}
	}
	if d.report.Made == 0 && err == nil {
		err = fmt.Errorf("%s: made of no case there is", c.ID)
	}
	return d.report, err
}

type differential struct {
	generator *generator
	anchors   judge.Anchors

	mu     sync.Mutex
	report *Report
	err    error
	known  map[string]string // what OpenSSL has against a case, by tool and case
}

func newDifferential(g *generator) *differential {
	return &differential{generator: g, report: &Report{Looser: map[string]int{}, Stricter: map[string]int{}}, known: map[string]string{}}
}

// opinion is our verdict on a message.
type opinion struct{ code, detail string }

func (o opinion) accepted() bool {
	return o.code == cases.Accepted || o.code == string(verdict.MalformedEntry)
}

func (d *differential) ours(i int) opinion {
	c, _ := d.generator.make(i)
	return d.judge(c)
}

func (d *differential) judge(c *cases.Case) opinion {
	code, detail, err := judge.Ours(c, &d.anchors)
	if err != nil {
		d.fail(err)
	}
	return opinion{code, detail}
}

// compare asks OpenSSL about one message.
func (d *differential) compare(c, base *cases.Case, ours opinion) {
	var err error
	c.Expect = ours.code
	opinions := map[string]judge.Opinion{}
	for _, tool := range []string{"smime", "cms"} {
		if opinions[tool], err = judge.AskOpenSSL(c, tool); err != nil {
			d.fail(err)
			return
		}
	}
	c.Smime, c.CMS = opinions["smime"].Verdict, opinions["cms"].Verdict
	if ours.accepted() {
		d.accepted(c, base, opinions)
	} else if c.Smime == cases.Accept || c.CMS == cases.Accept {
		d.refused(c, base, ours.detail)
	}
}

// accepted compares with OpenSSL what we accept.
func (d *differential) accepted(c, base *cases.Case, opinions map[string]judge.Opinion) {
	signed, err := smime.Open(c.Message, judge.Question(c).Envelope)
	if err != nil {
		d.fail(err)
		return
	}
	for tool, opinion := range opinions {
		if opinion.Verdict == cases.Accept {
			// OpenSSL writes the header of a text/plain part too.
			if !bytes.HasSuffix(opinion.Content, signed.Content) {
				d.find(c, fmt.Sprintf("openssl %s reads another content", tool))
			}
			continue
		}
		class := d.looser(c, base, tool, opinion)
		if class == "" {
			d.find(c, fmt.Sprintf("accepted, and openssl %s refuses: %s", tool, reasons(opinion)))
			continue
		}
		d.count(func(r *Report) { r.Looser[class]++ })
	}
}

// asDeclared is the class of messages about which the verdicts differ as they
// do about the case they were made of, which names its clause.
const asDeclared = "as declared"

// refused looks for the class of a message that only OpenSSL accepts.
func (d *differential) refused(c, base *cases.Case, detail string) {
	for _, s := range Stricter {
		if s.of(c, detail) {
			d.count(func(r *Report) { r.Stricter[s.Class]++ })
			return
		}
	}
	if base.Expect == c.Expect && (base.Smime == cases.Accept || base.CMS == cases.Accept) {
		d.count(func(r *Report) { r.Stricter[asDeclared]++ })
		return
	}
	d.find(c, fmt.Sprintf("openssl accepts (smime %s, cms %s), refused as %s: %s", c.Smime, c.CMS, c.Expect, detail))
}

// looser is the class of Differences that explains a refusal of OpenSSL's:
// that of the case it was made of, where OpenSSL has the same against both, or
// one that can be told from the message and what OpenSSL says.
func (d *differential) looser(c, base *cases.Case, tool string, opinion judge.Opinion) string {
	if base.Differs != "" && reasons(opinion) == d.against(base, tool) {
		return base.Differs
	}
	for _, l := range looser {
		if l.tool != "" && l.tool != tool || !l.says.MatchString(opinion.Errors) {
			continue
		}
		if l.message == nil || l.message(c) {
			return l.class
		}
	}
	return ""
}

// against is what OpenSSL has against a case as it stands.
func (d *differential) against(base *cases.Case, tool string) string {
	key := tool + " " + base.ID
	d.mu.Lock()
	said, ok := d.known[key]
	d.mu.Unlock()
	if ok {
		return said
	}
	opinion, err := judge.AskOpenSSL(base, tool)
	if err != nil {
		d.fail(err)
	}
	said = reasons(opinion)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known[key] = said
	return said
}

// errorLine is one of OpenSSL's, from which the process and the place are cut.
var errorLine = regexp.MustCompile(`error:[0-9A-F]{8}:[^:]*:[^:]*:([^:\n]*):[^:\n]*:\d+:(.*)`)

// reasons are OpenSSL's, without what changes from run to run.
func reasons(o judge.Opinion) string {
	var all []string
	for _, m := range errorLine.FindAllStringSubmatch(o.Errors, -1) {
		all = append(all, strings.TrimSpace(m[1]+" "+m[2]))
	}
	if all == nil {
		return strings.TrimSpace(o.Errors)
	}
	slices.Sort(all)
	return strings.Join(slices.Compact(all), "; ")
}

func (d *differential) count(add func(*Report)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	add(d.report)
}

func (d *differential) find(c *cases.Case, what string) {
	d.count(func(r *Report) { r.Findings = append(r.Findings, Finding{c, what}) })
}

func (d *differential) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}
