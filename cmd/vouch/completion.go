package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// completeWord is what the shells' scripts call: the words typed so far, the
// last of them to be completed.
const completeWord = "__complete"

const bashCompletion = `# vouch completion for bash: source this, or put it into
# /usr/share/bash-completion/completions/vouch
_vouch() {
    local IFS=$'\n'
    COMPREPLY=($(vouch __complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _vouch vouch
`

const zshCompletion = `#compdef vouch
# vouch completion for zsh: put this into a directory of $fpath as _vouch
_vouch() {
    local -a candidates
    candidates=(${(f)"$(vouch __complete "${words[@]:1:$((CURRENT-1))}" 2>/dev/null)"})
    if (( ${#candidates} )); then compadd -a candidates; else _files; fi
}
if [ "$funcstack[1]" = "_vouch" ]; then _vouch "$@"; else compdef _vouch vouch; fi
`

const fishCompletion = `# vouch completion for fish: put this into ~/.config/fish/completions/vouch.fish
function __vouch_complete
    set -l words (commandline -opc) (commandline -ct)
    vouch __complete $words[2..-1] 2>/dev/null
end
# Files only where no word is known.
complete -c vouch -n 'count (__vouch_complete) >/dev/null' -f -a '(__vouch_complete)'
`

func (s *session) completionCommand() *cli.Command {
	return &cli.Command{
		Name: "completion", Usage: "print the completion script of a shell", ArgsUsage: "bash|zsh|fish",
		Description: `Examples:
  vouch completion bash > /usr/share/bash-completion/completions/vouch
  vouch completion fish > ~/.config/fish/completions/vouch.fish`,
		Action: takes(1, 1, func(c *cli.Context) error {
			script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[c.Args().First()]
			if !ok {
				return usage(c, "knows bash, zsh and fish, not "+quoted(c.Args().First()))
			}
			_, err := s.out.WriteString(script)
			return err
		}),
	}
}

// complete prints what could stand in place of the last word.
func (s *session) complete(app *cli.App, words []string) error {
	if len(words) == 0 {
		words = []string{""}
	}
	last := words[len(words)-1]
	for _, c := range candidates(app, words[:len(words)-1], last) {
		if strings.HasPrefix(c, last) {
			fmt.Fprintln(s.out, c)
		}
	}
	return nil
}

// candidates are the commands or flags that fit after the words before.
func candidates(app *cli.App, before []string, last string) []string {
	at := &cli.Command{Subcommands: app.Commands}
	for _, w := range before {
		if next := at.Command(w); next != nil {
			at = next
		}
	}
	if !strings.HasPrefix(last, "-") {
		return commandNames(at)
	}
	var flags []string
	for _, n := range append(flagNames(at.Flags), flagNames(app.Flags)...) {
		flags = append(flags, "--"+n)
	}
	slices.Sort(flags)
	return append(flags, "--help")
}
