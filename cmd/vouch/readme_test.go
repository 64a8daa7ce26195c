package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/urfave/cli/v2"

	"vouch/imagelist/verdict"
	"vouch/subscriber"
)

// The README is what is read at 3 a.m.: it must name everything that can show
// up, and everything it tells to type must be accepted.

func readme(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// Every verdict has a row, and its last cell begins with what vouch itself says.
func TestReadme_Verdicts(t *testing.T) {
	rows := map[string]string{}
	for line := range strings.Lines(readme(t)) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) == 5 {
			rows[strings.TrimSpace(cells[1])] = strings.ReplaceAll(strings.TrimSpace(cells[3]), "`", "")
		}
	}
	for _, code := range verdictCodes(t) {
		row, ok := rows["`"+string(code)+"`"]
		if !ok {
			t.Errorf("no row for %s", code)
		} else if hint := subscriber.HintFor(code); hint == "" || !strings.HasPrefix(row, hint) {
			t.Errorf("%s: the row says %q, vouch says %q", code, row, hint)
		}
	}
}

// Every word for a problem that is no verdict is in the table of what happens,
// every state and reason in those below it.
func TestReadme_Problems(t *testing.T) {
	_, section, _ := strings.Cut(readme(t), "\n## What happens when\n")
	section, _, _ = strings.Cut(section, "\n## Verdicts\n")
	words := regexp.MustCompile(`(?:\.problem\("[a-z]+", [^,]+, |Code: |State: |State = |State, s\.Reason = |(?:never|deadLetter|handlerDown|handlerFailing|reason[A-Z][a-z]+) += )"([a-z-]+)"`)
	found := map[string]bool{}
	for _, pattern := range []string{"../../subscriber/*.go", "status.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			source, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range words.FindAllStringSubmatch(string(source), -1) {
				found[m[1]] = true
			}
		}
	}
	for word := range found {
		if !regexp.MustCompile("`(cache: )?" + word + "`").MatchString(section) {
			t.Errorf("%s is not explained", word)
		}
	}
	for _, word := range []string{"rebuilt", "held-back", "no-sync", "handler-down", "dead-letter", "removed", "stale", "blocked"} {
		if !found[word] {
			t.Errorf("%s was not found in the source: look at the pattern", word)
		}
	}
}

// verdictCodes reads the codes and the names of their constants from the source:
// constants cannot be listed.
func verdictCodes(t *testing.T) map[string]verdict.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../../imagelist/verdict/verdict.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]verdict.Code{}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "Code" {
			text, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[spec.Names[0].Name] = verdict.Code(text)
		}
		return false
	})
	if len(codes) < 30 {
		t.Fatalf("only %d codes found", len(codes))
	}
	return codes
}

// Every command is named in full, as code.
func TestReadme_Commands(t *testing.T) {
	text := readme(t)
	var look func(prefix string, commands []*cli.Command)
	look = func(prefix string, commands []*cli.Command) {
		for _, c := range commands {
			name := prefix + " " + c.Name
			if c.Action != nil && !c.Hidden && !regexp.MustCompile("`"+name+"[` ]").MatchString(text) {
				t.Errorf("`%s` is missing", name)
			}
			look(name, c.Subcommands)
		}
	}
	look("vouch", (&session{err: io.Discard}).app().Commands)
}

// Every vouch command line in a shell block has commands and flags that exist.
func TestReadme_ShellBlocks(t *testing.T) {
	seen := 0
	for _, block := range fenced(readme(t), "sh") {
		for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
			if words := vouchWords(line); words != nil {
				parses(t, words)
				seen++
			}
		}
	}
	if seen < 15 {
		t.Errorf("only %d command lines found", seen)
	}
}

// Every YAML block is a configuration that vouch reads.
func TestReadme_Configuration(t *testing.T) {
	blocks := fenced(readme(t), "yaml")
	if len(blocks) == 0 {
		t.Error("no configuration shown")
	}
	for _, block := range blocks {
		file := filepath.Join(t.TempDir(), "vouch.yaml")
		if err := os.WriteFile(file, []byte(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(file); err != nil {
			t.Errorf("%v in\n%s", err, block)
		}
	}
}

// The samples for cron: a schedule that parses, a user, and a command that vouch has.
func TestSampleCron(t *testing.T) {
	for _, name := range []string{"vouch", "vouch-publisher"} {
		t.Run(name, func(t *testing.T) { cronSample(t, name) })
	}
}

func cronSample(t *testing.T, name string) {
	raw, err := os.ReadFile(filepath.Join("../../etc/cron", name))
	if err != nil {
		t.Fatal(err)
	}
	assignment := regexp.MustCompile(`^[A-Z]+=`)
	entry := regexp.MustCompile(`^(\S+ \S+ \S+ \S+ \S+)\t(\S+)\t(.+)$`)
	seen := 0
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' || assignment.MatchString(line) {
			continue
		}
		m := entry.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not an entry: %s", line)
		}
		if what, fix := checkSchedule(m[1]); what != "" {
			t.Errorf("%s: %s; %s", line, what, fix)
		}
		words := vouchWords(m[3])
		if words == nil {
			t.Fatalf("does not run vouch: %s", line)
		}
		parses(t, words)
		seen++
	}
	if seen == 0 {
		t.Error("no entries")
	}
}

// fenced are the contents of the fenced blocks of one language.
func fenced(text, language string) []string {
	var blocks []string
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```\n").FindAllStringSubmatch(text, -1) {
		blocks = append(blocks, m[1])
	}
	return blocks
}

// shellWord is a word of a plain command line: quoted text, an operator, or
// neither. Nested quotes are more than the README needs.
var shellWord = regexp.MustCompile(`"[^"]*"|'[^']*'|[|;&<>#].*|[^\s"'|;&<>#]+`)

// vouchWords are the words after "vouch" of a line that runs it, possibly
// through sudo or nice; nil for other lines. What follows a pipe, a redirection
// or a comment sign is not looked at.
func vouchWords(line string) []string {
	var words []string
	for _, w := range shellWord.FindAllString(line, -1) {
		if strings.ContainsRune("|;&<>#", rune(w[0])) {
			break
		}
		words = append(words, strings.Trim(w, `"'`))
	}
	for _, prefix := range []string{"sudo -u vouch vouch", "nice vouch", "vouch"} {
		p := strings.Fields(prefix)
		if len(words) > len(p) && strings.Join(words[:len(p)], " ") == prefix {
			return words[len(p):]
		}
	}
	return nil
}

func parses(t *testing.T, words []string) {
	t.Helper()
	if _, err := order((&session{err: io.Discard}).app(), words); err != nil {
		t.Errorf("vouch %s: %v", strings.Join(words, " "), err)
	}
}
