package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// completed asks a real shell what it would offer: the script does what the
// shell does when Tab is pressed, with the words from "$@".
func completed(t *testing.T, shell string, script string, words ...string) []string {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	file := filepath.Join(t.TempDir(), "_vouch")
	source, err := exec.Command("vouch", "completion", shell).Output()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, source, 0o600); err != nil {
		t.Fatal(err)
	}
	args := map[string][]string{
		"bash": {"--norc", "-c", script, "bash"},
		"zsh":  {"-f", "-c", script, "zsh"},
		"fish": {"--no-config", "-c", script},
	}[shell]
	cmd := exec.Command(shell, append(append(args, file), words...)...)
	cmd.Env = append(os.Environ(), "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	return strings.Fields(string(out))
}

// pressTab is what each shell does for the last word.
var pressTab = map[string]string{
	"bash": `source "$1"; shift
		complete -p vouch >/dev/null || exit 1
		COMP_WORDS=(vouch "$@"); COMP_CWORD=$#; _vouch; printf '%s\n' "${COMPREPLY[@]}"`,
	// zsh calls a function of the file's name; compadd only works below its editor.
	"zsh": `function compadd { print -l -- ${(P)2} }
		function _files { print FILES }
		fpath=(${1:h} $fpath); shift; autoload -Uz _vouch
		words=(vouch "$@"); CURRENT=$#words; _vouch`,
	"fish": `source $argv[1]; complete -C "vouch "(string join " " -- $argv[2..]) | string match -r '^[^\t]+'`,
}

func TestCompletion_Shells(t *testing.T) {
	for shell, script := range pressTab {
		t.Run(shell, func(t *testing.T) {
			for _, c := range []struct{ typed, offered string }{
				{"pub", "publisher"},
				{"publisher re", "remove renew"},
				{"sync --no", "--no-wait"},
				{"publisher publish --notify-t", "--notify-token-file"},
				{"publisher validate /usr/b", map[string]string{"zsh": "FILES", "fish": "/usr/bin/"}[shell]},
			} {
				have := completed(t, shell, script, strings.Fields(c.typed)...)
				if strings.Join(have, " ") != c.offered {
					t.Errorf("vouch %s<Tab> offers %q, not %q", c.typed, have, c.offered)
				}
			}
		})
	}
}
