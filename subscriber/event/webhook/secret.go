package webhook

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	secretPrefix  = "whsec_"
	leastSecret   = 24 // bytes, Standard Webhooks 1.0
	mostSecret    = 64
	maxSecrets    = 2
	maxSecretFile = 4 << 10
)

// secretHint is how to make what ReadSecrets accepts.
const secretHint = `echo "whsec_$(openssl rand -base64 32)" makes one`

// ReadSecrets reads the secrets of an endpoint: one or, while one replaces
// another, two lines, each the base64 of 24 to 64 bytes, with or without
// whsec_ before it. Empty lines and those beginning with # are skipped. The
// file must not be readable by others. Errors never quote it.
func ReadSecrets(file string) ([][]byte, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, fmt.Errorf("secret_file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("secret_file %s: not a regular file", file)
	case info.Mode().Perm()&0o007 != 0:
		return nil, fmt.Errorf("secret_file %s: can be read by others (mode %04o): chmod o= it", file, info.Mode().Perm())
	}
	text, err := io.ReadAll(io.LimitReader(f, maxSecretFile+1))
	if err != nil {
		return nil, fmt.Errorf("secret_file: %w", err)
	}
	secrets, err := parseSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("secret_file %s: %w", file, err)
	}
	return secrets, nil
}

func parseSecrets(text []byte) ([][]byte, error) {
	if len(text) > maxSecretFile {
		return nil, fmt.Errorf("larger than %d bytes", maxSecretFile)
	}
	var secrets [][]byte
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		secret, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, secretPrefix))
		if err != nil || len(secret) < leastSecret || len(secret) > mostSecret {
			return nil, fmt.Errorf("line %d: not the base64 of %d to %d bytes: %s", n, leastSecret, mostSecret, secretHint)
		}
		secrets = append(secrets, secret)
	}
	switch {
	case len(secrets) == 0:
		return nil, errors.New("holds no secret: " + secretHint)
	case len(secrets) > maxSecrets:
		return nil, fmt.Errorf("holds more than %d secrets", maxSecrets)
	}
	return secrets, nil
}

// signatures is the value of Webhook-Signature.
func signatures(secrets [][]byte, id, stamp string, body []byte) string {
	var all []string
	for _, secret := range secrets {
		mac := hmac.New(sha256.New, secret)
		fmt.Fprintf(mac, "%s.%s.", id, stamp)
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
