package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// The command line library stops reading flags at the first argument and takes
// the rest as arguments, without a word, and knows global flags only before
// the command. So the words are put in order before it sees them: global
// flags, command, its flags, "--", its arguments. Whatever has no place is an
// error here, and nothing is left over for the library to misread.

// ordered is a command line whose words have found their places.
type ordered struct {
	globals []string
	path    []string // the command's words, without the program's name
	flags   []string
	args    []string
}

// words is the command line in the order in which the library reads it.
func (o ordered) words(program string) []string {
	w := append([]string{program}, o.globals...)
	w = append(w, o.path...)
	w = append(w, o.flags...)
	if len(o.args) > 0 {
		w = append(append(w, "--"), o.args...)
	}
	return w
}

// order sorts the words after the program's name into their places.
// Everything after "--" is an argument. The error is a *usageError.
func order(app *cli.App, words []string) (ordered, error) {
	o, at := ordered{}, &cli.Command{Subcommands: app.Commands}
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w == "--":
			o.args = append(o.args, words[i+1:]...)
			return o, o.complete(at)
		case len(w) > 1 && w[0] == '-':
			used, err := o.flag(app, at, words[i:])
			if err != nil {
				return o, err
			}
			i += used - 1
		case len(at.Subcommands) > 0:
			next := at.Command(w)
			if next == nil {
				return o, unknownCommand(o.path, at, w)
			}
			at, o.path = next, append(o.path, next.Name)
		default:
			o.args = append(o.args, w)
		}
	}
	return o, o.complete(at)
}

// complete refuses a command line that names only a group of commands.
func (o ordered) complete(at *cli.Command) error {
	asked := func(f string) bool { return slices.Contains(o.globals, f) || slices.Contains(o.flags, f) }
	if len(at.Subcommands) == 0 || at.Action != nil || asked("--help") || asked("--version") {
		return nil
	}
	if len(o.path) == 0 {
		return &usageError{what: "no command given"}
	}
	return &usageError{command: strings.Join(o.path, " "), what: "which one? " + strings.Join(commandNames(at), ", ")}
}

// flag files the flag at the head of words, with its value, and says how many
// words that took.
func (o *ordered) flag(app *cli.App, at *cli.Command, words []string) (int, error) {
	bare := strings.TrimLeft(words[0], "-")
	name, _, inline := strings.Cut(bare, "=")
	into, f := &o.flags, findFlag(at.Flags, name)
	if f == nil {
		into, f = &o.globals, findFlag(app.Flags, name)
	}
	switch {
	case f != nil:
	case name == "help" || name == "h":
		o.flags = append(o.flags, "--help")
		return 1, nil
	case name == "version":
		o.globals = append(o.globals, "--version")
		return 1, nil
	default:
		return 0, unknownFlag(app, at, o.path, words[0])
	}
	if _, isSwitch := f.(*cli.BoolFlag); isSwitch || inline {
		*into = append(*into, "--"+bare)
		return 1, nil
	}
	if len(words) < 2 || words[1] == "--" {
		return 0, &usageError{command: strings.Join(o.path, " "), what: "flag " + words[0] + " needs a value"}
	}
	*into = append(*into, "--"+name+"="+words[1])
	return 2, nil
}

func findFlag(flags []cli.Flag, name string) cli.Flag {
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			return f
		}
	}
	return nil
}

func unknownCommand(path []string, at *cli.Command, word string) error {
	e := &usageError{command: strings.Join(path, " "), what: "no command " + quoted(strings.Join(append(slices.Clone(path), word), " "))}
	if near := nearest(word, commandNames(at)); near != "" {
		e.hint = "did you mean " + quoted(strings.Join(append(slices.Clone(path), near), " ")) + "?"
	}
	return e
}

func unknownFlag(app *cli.App, at *cli.Command, path []string, typed string) error {
	typed, _, _ = strings.Cut(typed, "=") // the value may be a secret
	e := &usageError{command: strings.Join(path, " "), what: "no flag " + quoted(typed)}
	name := strings.TrimLeft(typed, "-")
	if near := nearest(name, append(flagNames(at.Flags), flagNames(app.Flags)...)); near != "" {
		e.hint = "did you mean --" + near + "?"
	} else if len(at.Subcommands) > 0 {
		e.hint = "a command's own flags stand after the command"
	}
	return e
}

// commandNames are the names a person may type, without hidden ones.
func commandNames(at *cli.Command) []string {
	var names []string
	for _, c := range at.Subcommands {
		if !c.Hidden {
			names = append(names, c.Name)
		}
	}
	return names
}

func flagNames(flags []cli.Flag) []string {
	var names []string
	for _, f := range flags {
		names = append(names, f.Names()[0])
	}
	return names
}
