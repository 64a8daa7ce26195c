package cases

import (
	"bytes"
	"strings"
	"testing"
)

const sample = `id: chain-x
description: what it is: a case
expect: accepted
at: 2026-06-01T00:00:00Z
trust: grid
options: binary,allow-sha1
crl-grace: 1h0m0s
openssl-smime: accept
openssl-cms: refuse
clause: trust.md

body: not a header

end`

func TestParse(t *testing.T) {
	c, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if c.Family() != "chain" || c.Description != "what it is: a case" || !c.Has(Binary) || c.Has(PurposeAny) ||
		string(c.Message) != "body: not a header\n\nend" {
		t.Errorf("%+v", c)
	}
	if !bytes.Equal(c.Bytes(), []byte(sample)) {
		t.Errorf("written as\n%s", c.Bytes())
	}
}

func TestParse_Refuses(t *testing.T) {
	for name, change := range map[string][2]string{
		"unknown header":  {"crl-grace", "crl-graze"},
		"header of a tag": {"crl-grace", "Message"},
		"twice":           {"crl-grace: 1h0m0s", "trust: grid"},
		"empty":           {"trust: grid", "trust: "},
		"no colon":        {"trust: grid", "trust grid"},
		"missing":         {"clause: trust.md\n", ""},
		"unknown option":  {"allow-sha1", "allow-md5"},
		"no instant":      {"2026-06-01T00:00:00Z", "today"},
		"no duration":     {"1h0m0s", "long"},
		"no empty line":   {"\n\n", "\n"},
	} {
		if _, err := Parse([]byte(strings.ReplaceAll(sample, change[0], change[1]))); err == nil {
			t.Error(name)
		}
	}
}
