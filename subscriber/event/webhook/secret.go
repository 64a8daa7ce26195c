package webhook

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"vouch/subscriber/secret"
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
// file is one of package secret. Errors never quote it.
func ReadSecrets(file string) ([][]byte, error) {
	text, err := secret.Read(file, maxSecretFile)
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
	var secrets [][]byte
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, secretPrefix))
		if err != nil || len(key) < leastSecret || len(key) > mostSecret {
			return nil, fmt.Errorf("line %d: not the base64 of %d to %d bytes: %s", n, leastSecret, mostSecret, secretHint)
		}
		secrets = append(secrets, key)
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
	for _, key := range secrets {
		mac := hmac.New(sha256.New, key)
		fmt.Fprintf(mac, "%s.%s.", id, stamp)
		mac.Write(body)
		all = append(all, "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	}
	return strings.Join(all, " ")
}
