// Package judge asks for the verdicts on a case: vouch's, and those of the two
// verifiers of OpenSSL.
package judge

import (
	"bytes"
	"os/exec"
	"strconv"
	"sync"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
	"vouch/imagelist/verdict"
	"vouch/testdata/cases"
)

// Anchors keeps the trust directories that were loaded.
type Anchors struct {
	mu     sync.Mutex
	stores map[string]*trust.Store
}

// Load returns the snapshot of a path, loaded once.
func (a *Anchors) Load(path string) (*trust.Store, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if s, ok := a.stores[path]; ok {
		return s, nil
	}
	s, err := trust.Load(path)
	if err != nil {
		return nil, err
	}
	if a.stores == nil {
		a.stores = map[string]*trust.Store{}
	}
	a.stores[path] = s
	return s, nil
}

// Question is what the case asks.
func Question(c *cases.Case) imagelist.Question {
	q := imagelist.Question{
		Envelope: smime.Options{AllowSHA1: c.Has(cases.AllowSHA1), Binary: c.Has(cases.Binary)},
		Trust: trust.Policy{
			CRL: trust.Mode(c.CRL), CRLGrace: c.CRLGrace, SigningPolicy: trust.Mode(c.SigningPolicy),
			AnyPurpose: c.Has(cases.PurposeAny),
		},
	}
	if c.EndorserDN != "" {
		q.Authorised = []imagelist.Authorised{{DN: c.EndorserDN, CA: c.EndorserCA, Pin: c.EndorserKey}}
	}
	return q
}

// Ours is vouch's verdict: the code of the refusal, malformed-entry where only
// entries were refused, or cases.Accepted; and what was said of it. Whether
// the list is current is asked as well, as `vouch publisher verify` does.
func Ours(c *cases.Case, a *Anchors) (code, detail string, err error) {
	store, err := a.Load(c.TrustPath())
	if err != nil {
		return "", "", err
	}
	v, told := imagelist.Examine(c.Message, store, c.At, Question(c))
	if told.Rejection != nil {
		return string(told.Rejection.Code), told.Rejection.Detail, nil
	}
	if no := verdict.As(v.List().Current(c.At)); no != nil {
		return string(no.Code), no.Detail, nil
	}
	if refused := v.List().Refused; len(refused) > 0 {
		return string(verdict.MalformedEntry), refused[0].Field + ": " + refused[0].Detail, nil
	}
	return cases.Accepted, "", nil
}

// OpenSSL is the verdict of "smime" or "cms": cases.Accept or cases.Refuse. It
// is asked for the same instant and anchors; for CRLs of the whole chain where
// the case requires them, for no purpose where the case does not either. It
// does not know signing policies, endorsers or lists.
func OpenSSL(c *cases.Case, tool string) (string, error) {
	opinion, err := AskOpenSSL(c, tool)
	return opinion.Verdict, err
}

// Opinion is what OpenSSL made of a case.
type Opinion struct {
	Verdict string // cases.Accept or cases.Refuse
	Content []byte // what it wrote; of a refused message too
	Errors  string // what it said
}

// AskOpenSSL is OpenSSL, with all it had to say.
func AskOpenSSL(c *cases.Case, tool string) (Opinion, error) {
	anchors := "-CApath"
	if bytes.Contains([]byte(c.Trust), []byte(".pem")) {
		anchors = "-CAfile"
	}
	args := []string{tool, "-verify", "-in", "/dev/stdin", "-inform", form(c.Message),
		anchors, c.TrustPath(), "-attime", strconv.FormatInt(c.At.Unix(), 10)}
	if c.CRL == "" {
		args = append(args, "-crl_check_all")
	}
	if c.Has(cases.PurposeAny) {
		args = append(args, "-purpose", "any")
	}
	if c.Has(cases.Binary) {
		args = append(args, "-binary")
	}
	var out, errs bytes.Buffer
	cmd := exec.Command("openssl", args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(c.Message), &out, &errs
	opinion := Opinion{Verdict: cases.Accept}
	switch err := cmd.Run().(type) {
	case nil:
	case *exec.ExitError:
		opinion.Verdict = cases.Refuse
	default:
		return opinion, err
	}
	opinion.Content, opinion.Errors = out.Bytes(), errs.String()
	return opinion, nil
}

// form is the transport form as OpenSSL has to be told it.
func form(message []byte) string {
	switch {
	case len(message) > 0 && message[0] == 0x30:
		return "DER"
	case bytes.HasPrefix(bytes.TrimLeft(message, " \t\r\n"), []byte("-----BEGIN")):
		return "PEM"
	}
	return "SMIME"
}
