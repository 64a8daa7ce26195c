// Table prints the body of cases: what each declares, vouch's verdict, and
// those that were recorded of OpenSSL.
//
//	go run ./testdata/cases/table [-only TEXT] [-differing] [COMMAND ARGUMENT…]
//
// Any other program can be run over the cases: COMMAND is called for each, with
// {dir}, {at} (RFC 3339), {unix}, {file}, {dn} and {ca} replaced in its
// arguments by the trust directory, the instant, a file with the message, and
// the endorser; exit status 0 means that it accepts. Its verdicts are one more
// column, and where it accepts what is to be refused there is an exclamation
// mark.
//
// The exit status is 1 when a verdict of vouch is not the declared one.
package main

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"vouch/testdata/cases"
	"vouch/testdata/cases/judge"
)

func main() {
	only := flag.String("only", "", "cases whose identifier contains this `text`")
	differing := flag.Bool("differing", false, "only those where vouch and OpenSSL, or vouch and the case, differ")
	why := flag.Bool("why", false, "also what vouch says to each refusal")
	flag.Parse()
	wrong, err := table(*only, *differing, *why, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "cases:", err)
	}
	if err != nil || wrong > 0 {
		os.Exit(1)
	}
}

// table prints the rows and counts the wrong verdicts.
func table(only string, differing, why bool, command []string) (wrong int, err error) {
	all, err := cases.Read()
	if err != nil {
		return 0, err
	}
	out := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', 0)
	defer out.Flush()
	other := ""
	if len(command) > 0 {
		other = "command\t"
	}
	fmt.Fprintln(out, "id\tdeclared\tvouch\topenssl smime\tcms\t"+other+"description")
	var anchors judge.Anchors
	count := map[bool]int{}
	for _, c := range all {
		if !strings.Contains(c.ID, only) {
			continue
		}
		ours, detail, err := judge.Ours(c, &anchors)
		if err != nil {
			return wrong, fmt.Errorf("%s: %w", c.ID, err)
		}
		mark := ""
		if why && detail != "" {
			mark = ": " + strconv.Quote(detail)
		}
		if ours != c.Expect {
			wrong++
			mark = " WRONG: " + strconv.Quote(detail)
		}
		other, err := runOther(c, command)
		if err != nil {
			return wrong, err
		}
		passes := ours == cases.Accepted || ours == "malformed-entry"
		count[c.Expect == cases.Accepted]++
		if differing && ours == c.Expect && passes == (c.Smime == cases.Accept) && passes == (c.CMS == cases.Accept) {
			continue
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s%s%s\n", c.ID, c.Expect, ours, c.Smime, c.CMS, other, c.Description, mark)
	}
	fmt.Fprintf(out, "%d cases: %d to be accepted, %d to be refused; %d wrong verdicts\n", count[true]+count[false], count[true], count[false], wrong)
	return wrong, nil
}

// runOther is another program's verdict, as a column.
func runOther(c *cases.Case, command []string) (string, error) {
	if len(command) == 0 {
		return "", nil
	}
	file, err := os.CreateTemp("", "case-")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if _, err := file.Write(c.Message); err != nil {
		return "", err
	}
	fill := strings.NewReplacer("{dir}", c.TrustPath(), "{at}", c.At.Format(time.RFC3339), "{unix}", strconv.FormatInt(c.At.Unix(), 10),
		"{file}", file.Name(), "{dn}", c.EndorserDN, "{ca}", c.EndorserCA)
	args := make([]string, len(command))
	for i := range command {
		args[i] = fill.Replace(command[i])
	}
	switch err := exec.Command(args[0], args[1:]...).Run().(type) {
	case nil:
		if c.Expect != cases.Accepted {
			return "accepts!\t", nil
		}
		return "accepts\t", nil
	case *exec.ExitError:
		return "refuses\t", nil
	default:
		return "", err
	}
}
