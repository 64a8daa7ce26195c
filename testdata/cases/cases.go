// Package cases reads the body of cases: messages as files that declare what
// is to be made of them. README.md describes the form.
//
// It knows nothing of the code that judges, so that tests of every package and
// other programs can use it.
package cases

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Accepted is the value of Case.Expect when nothing is to be refused.
const Accepted = "accepted"

// Case is one message and what is to be made of it. The tags name the headers
// of the file.
type Case struct {
	ID            string        `case:"id"`             // <family>-<what is tested>, also the file's name
	Description   string        `case:"description"`    // for the reader
	Expect        string        `case:"expect"`         // Accepted or the code of contract §4
	At            time.Time     `case:"at"`             // the instant to judge at
	Trust         string        `case:"trust"`          // name of a directory or bundle below trust/
	EndorserDN    string        `case:"endorser-dn"`    // who may speak; "" asks for nobody
	EndorserCA    string        `case:"endorser-ca"`    //
	EndorserKey   string        `case:"endorser-key"`   // pin: hexadecimal SHA-256 of the public key, or ""
	Options       []string      `case:"options"`        // AllowSHA1, Binary, PurposeAny
	CRL           string        `case:"crl"`            // require (also when ""), if-present, ignore
	CRLGrace      time.Duration `case:"crl-grace"`      //
	SigningPolicy string        `case:"signing-policy"` // as CRL
	Smime         string        `case:"openssl-smime"`  // Accept or Refuse: openssl smime -verify
	CMS           string        `case:"openssl-cms"`    // and openssl cms -verify
	Differs       string        `case:"differs"`        // the class of Differences, where accepted and OpenSSL refuses
	Clause        string        `case:"clause"`         // of the rule behind the expectation

	Message []byte
	Path    string // of the file
}

// The values of Case.Options.
const (
	AllowSHA1  = "allow-sha1"
	Binary     = "binary"
	PurposeAny = "purpose-any"
)

// The verdicts of OpenSSL.
const (
	Accept = "accept"
	Refuse = "refuse"
)

// Family is the first word of the identifier.
func (c *Case) Family() string {
	family, _, _ := strings.Cut(c.ID, "-")
	return family
}

// Has says whether the case asks for an option.
func (c *Case) Has(option string) bool { return slices.Contains(c.Options, option) }

// Dir is the directory of the cases in the source tree.
func Dir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(file)
}

// TrustPath is the trust directory, or bundle, of the case.
func (c *Case) TrustPath() string { return filepath.Join(Dir(), "trust", c.Trust) }

// Read returns all cases below Dir, sorted by path.
func Read() ([]*Case, error) {
	var all []*Case
	err := filepath.WalkDir(Dir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".case" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		c, err := Parse(data)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		if want := filepath.Join(Dir(), c.Family(), c.ID+".case"); path != want {
			return fmt.Errorf("%s: belongs to %s", path, want)
		}
		c.Path = path
		all = append(all, c)
		return nil
	})
	return all, err
}

// Parse reads the text of one case. A header that is unknown, occurs twice or
// has no value is an error, and so is a case without one it needs.
func Parse(data []byte) (*Case, error) {
	head, message, found := bytes.Cut(data, []byte("\n\n"))
	if !found {
		return nil, errors.New("no empty line after the headers")
	}
	c := &Case{Message: message}
	seen := map[string]bool{}
	for line := range strings.SplitSeq(string(head), "\n") {
		name, value, found := strings.Cut(line, ": ")
		if !found || value == "" || seen[name] {
			return nil, fmt.Errorf("header %q: empty, or there already", line)
		}
		seen[name] = true
		if err := c.set(name, value); err != nil {
			return nil, fmt.Errorf("header %s: %w", name, err)
		}
	}
	for _, name := range []string{"id", "description", "expect", "at", "trust", "openssl-smime", "openssl-cms", "clause"} {
		if !seen[name] {
			return nil, fmt.Errorf("header %s: missing", name)
		}
	}
	return c, nil
}

func (c *Case) set(name, value string) (err error) {
	switch f := c.field(name).(type) {
	case *string:
		*f = value
	case *[]string:
		*f = strings.Split(value, ",")
		for _, o := range *f {
			if o != AllowSHA1 && o != Binary && o != PurposeAny {
				return fmt.Errorf("unknown option %q", o)
			}
		}
	case *time.Time:
		*f, err = time.Parse(time.RFC3339, value)
	case *time.Duration:
		*f, err = time.ParseDuration(value)
	default:
		return errors.New("unknown")
	}
	return err
}

// field is a pointer to the field of a header, or nil.
func (c *Case) field(name string) any {
	v := reflect.ValueOf(c).Elem()
	for i := range v.NumField() {
		if tag := v.Type().Field(i).Tag.Get("case"); tag != "" && tag == name {
			return v.Field(i).Addr().Interface()
		}
	}
	return nil
}

// Bytes is the text that Parse reads. Headers that say nothing are left out.
func (c *Case) Bytes() []byte {
	var b bytes.Buffer
	v := reflect.ValueOf(*c)
	for i := range v.NumField() {
		name := v.Type().Field(i).Tag.Get("case")
		if name == "" || v.Field(i).IsZero() {
			continue
		}
		value := fmt.Sprint(v.Field(i).Interface())
		switch f := v.Field(i).Interface().(type) {
		case []string:
			value = strings.Join(f, ",")
		case time.Time:
			value = f.Format(time.RFC3339)
		}
		fmt.Fprintf(&b, "%s: %s\n", name, value)
	}
	b.WriteByte('\n')
	b.Write(c.Message)
	return b.Bytes()
}
