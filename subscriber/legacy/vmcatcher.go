package legacy

import (
	"bufio"
	"errors"
	"slices"
	"strconv"
	"unicode/utf8"
)

// tables are those of vmcatcher's database that say what was wanted. The
// others hold messages and what was in them.
var tables = []string{"subscription", "subscriptionauth", "endorser", "endorserprincible", "imagedefinition"}

// DumpCommand is the command line of sqlite3 that prints what Read reads of a
// database, without its years of messages.
func DumpCommand(file string) []string {
	return []string{"sqlite3", "-readonly", "-batch", "-init", "/dev/null", file,
		".dump subscription subscriptionAuth endorser endorserPrincible ImageDefinition"}
}

// readVMCatcher reads a dump of the database of vmcatcher.
func readVMCatcher(r *bufio.Reader) (*Result, error) {
	d, err := readDump(r, tables...)
	if err != nil {
		return nil, err
	}
	for _, t := range tables {
		if d.columns[t] == nil {
			return nil, errors.New("no table " + t + ": not the database of vmcatcher")
		}
	}
	v := catcher{
		Result: &Result{Kind: VMCatcher}, auths: d.by("subscriptionauth", "subscription"),
		principals: d.by("endorserprincible", "endorser"), images: d.by("imagedefinition", "subscription"),
	}
	for _, sub := range d.rows["subscription"] {
		if !v.addRow(sub) {
			return nil, errors.New("a subscription without id, or with text that is not UTF-8")
		}
	}
	if len(v.Lists)+len(v.Left) == 0 {
		return nil, errors.New("it subscribes to no list")
	}
	return v.Result, nil
}

// catcher is a result while it is made, and the rows that belong to each
// subscription or endorser.
type catcher struct {
	*Result
	auths, principals, images map[string][]row
}

// by are the rows of a table by the value of a column.
func (d *dump) by(table, column string) map[string][]row {
	rows := map[string][]row{}
	for _, r := range d.rows[table] {
		rows[r[column]] = append(rows[r[column]], r)
	}
	delete(rows, "") // NULL is nobody's
	return rows
}

// number reads a column that is a number; 0 when it is none.
func (r row) number(column string) int64 {
	n, _ := strconv.ParseInt(r[column], 10, 64)
	return n
}

// addRow takes one subscription; false when the row makes no sense.
func (v *catcher) addRow(sub row) bool {
	for _, text := range sub {
		if !utf8.ValidString(text) {
			return false
		}
	}
	if sub["id"] == "" {
		return false
	}
	leave := func(why, fix string, lost bool) bool {
		v.Left = append(v.Left, Left{Source: sub["identifier"], URL: shown(sub["uri"]), Why: why, Fix: fix, Lost: lost})
		return true
	}
	if sub.number("authorised") == 0 {
		return leave("it is not authorised: vmcatcher took no images from it", "", false)
	}
	l := List{Source: sub["identifier"], Identifier: sub["identifier"]}
	if why, fix := l.setAddress(sub["uri"]); why != "" {
		return leave(why, fix, true)
	}
	if sub["username"] != "" || sub["password"] != "" { // otherwise those in the URL, if any
		if why, fix := l.setCredentials(sub["username"], sub["password"]); why != "" {
			return leave(why, fix, true)
		}
	}
	l.endorsers(v.auths[sub["id"]], v.principals)
	if len(l.Endorsers) == 0 { // a wish that nobody speaks, and not a question left open
		return leave("nobody is authorised to sign it: vmcatcher accepted no version of it", "if that was not meant: vouch subscription add URL", true)
	}
	l.selection(v.images[sub["id"]], sub.number("updatemode"))
	if sub.number("trustanchor") == 2 {
		l.Notes = append(l.Notes, "its web server was checked with the IGTF anchors: set fetch.tls to anchors or both")
	}
	v.Lists = append(v.Lists, l)
	return true
}

// endorsers takes the principals of the endorsers that a subscription
// authorises. vmcatcher itself matches a principal by the number of its row,
// which is its endorser's unless somebody deleted one in between; the column
// says whose it is.
func (l *List) endorsers(auths []row, principals map[string][]row) {
	for _, auth := range auths {
		if auth.number("authorised") == 0 {
			l.Notes = append(l.Notes, "an endorser whose authorisation was taken back is not carried")
			continue
		}
		for _, p := range principals[auth["endorser"]] {
			if who := (Person{DN: p["hv_dn"], CA: p["hv_ca"]}); !slices.Contains(l.Endorsers, who) {
				l.Endorsers = append(l.Endorsers, who)
			}
		}
	}
}

// How vmcatcher treats images that are new in a list: the bits of updateMode.
const (
	acceptNew    = 1 // they get a row
	subscribeNew = 2 // and are wanted
)

// selection takes which images were wanted: those whose row says so, and new
// ones by the update mode.
func (l *List) selection(definitions []row, mode int64) {
	var wanted, unwanted []string
	for _, def := range definitions {
		if def.number("cache") == 1 {
			wanted = append(wanted, def["identifier"])
		} else {
			unwanted = append(unwanted, def["identifier"])
		}
	}
	if mode&acceptNew != 0 && mode&subscribeNew != 0 {
		l.Images.Exclude, _ = usable(unwanted)
		return
	}
	good, bad := usable(wanted)
	l.sayUnusable(bad)
	l.Images = Selection{Include: good, None: len(good) == 0}
}
