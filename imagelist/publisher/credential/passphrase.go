package credential

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

// maxPassphrase bounds a passphrase, in bytes.
const maxPassphrase = 1024

// ErrInterrupted is a passphrase prompt that a signal ended.
var ErrInterrupted = errors.New("interrupted")

// PassphraseFile answers Source.Passphrase with the first line of a file,
// whatever is asked for. A file that group or others can use is refused, and
// one without anything on its first line.
func PassphraseFile(file string) func(what string) ([]byte, error) {
	return func(string) ([]byte, error) {
		f, err := readFile(file)
		if err != nil {
			return nil, err
		}
		defer clear(f.data)
		if err := f.private(); err != nil {
			return nil, err
		}
		line, _, _ := bytes.Cut(f.data, []byte{'\n'})
		return passphraseIn(bytes.Clone(line), fmt.Sprintf("%q", file))
	}
}

// PassphraseFD answers Source.Passphrase with the next line of an open file
// descriptor. It reads no byte further, so that several passphrases can come
// from one pipe, and does not close it.
func PassphraseFD(fd int) func(what string) ([]byte, error) {
	return func(string) ([]byte, error) {
		// Not by os.File, whose end would close the descriptor.
		line := make([]byte, 0, maxPassphrase+2)
		for len(line) < cap(line) {
			n, err := syscall.Read(fd, line[len(line):len(line)+1])
			switch {
			case errors.Is(err, syscall.EINTR):
				continue
			case err != nil:
				return nil, fmt.Errorf("file descriptor %d: %w", fd, err)
			}
			line = line[:len(line)+n]
			if n == 0 || line[len(line)-1] == '\n' {
				break
			}
		}
		return passphraseIn(bytes.TrimSuffix(line, []byte{'\n'}), fmt.Sprintf("file descriptor %d", fd))
	}
}

// passphraseIn takes a line without its end.
func passphraseIn(line []byte, where string) ([]byte, error) {
	line = bytes.TrimSuffix(line, []byte{'\r'})
	switch {
	case len(line) == 0:
		return nil, fault("write the passphrase on its first line", "%s: no passphrase", where)
	case len(line) > maxPassphrase:
		clear(line)
		return nil, fmt.Errorf("%s: passphrase longer than %d bytes", where, maxPassphrase)
	}
	return line, nil
}

// PassphraseTerminal answers Source.Passphrase by asking on /dev/tty, without
// echo. SIGINT, SIGTERM and SIGHUP end it with ErrInterrupted and the terminal
// as it was, whether the program handles them or not; the line the person had
// begun then still belongs to the prompt, so the program should end.
func PassphraseTerminal(what string) ([]byte, error) {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
	if err != nil {
		return nil, fault("have the passphrase read from a file or file descriptor", "no terminal to ask on: %v", err)
	}
	defer tty.Close()
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return nil, fmt.Errorf("terminal: %w", err)
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)

	type answer struct {
		passphrase []byte
		err        error
	}
	answers := make(chan answer, 1)
	fmt.Fprintf(tty, "Passphrase for %s: ", what)
	go func() {
		passphrase, err := term.ReadPassword(fd)
		answers <- answer{passphrase, err}
	}()
	defer fmt.Fprintln(tty)
	select {
	case a := <-answers:
		if a.err != nil {
			return nil, fmt.Errorf("terminal: %w", a.err)
		}
		return a.passphrase, nil
	case <-signals:
		_ = term.Restore(fd, state)
		return nil, ErrInterrupted
	}
}
