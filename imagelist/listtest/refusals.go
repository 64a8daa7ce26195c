package listtest

import (
	"bytes"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"vouch/imagelist/verdict"
)

// Refusals has for each code that a message alone can earn, in a World and
// asked World.Question, the change that earns it and leaves all else good.
var Refusals = map[verdict.Code]func() Change{
	verdict.NotSigned:            NotSigned,
	verdict.MalformedEnvelope:    Cut,
	verdict.Signature:            Tampered,
	verdict.WeakAlgorithm:        SHA1,
	verdict.UnsupportedAlgorithm: SHA224,
	verdict.MultipleSigners:      TwoSigners,
	verdict.Untrusted:            Rogue,
	verdict.CertExpired:          SignerExpired,
	verdict.CertNotYetValid:      SignerNotYetValid,
	verdict.KeyUsage:             ForTLSOnly,
	verdict.ProxyCertificate:     SignedByProxy,
	verdict.SigningPolicy:        OutOfNamespace,
	verdict.Revoked:              SignerRevoked,
	verdict.CRLMissing:           NoCRLForSigner,
	verdict.CRLStale:             StaleCRLForSigner,
	verdict.MalformedList:        DuplicateKey,
	verdict.EndorserMismatch:     NamesSomebodyElse,
	verdict.NotAuthorised:        Unauthorised,
	verdict.CreatedInFuture:      FromTheFuture,
	verdict.ListExpired:          Expired,
}

// NotSigned sends the bare list.
func NotSigned() Change {
	return func(m *Message) { m.how = func(content []byte) []byte { return content } }
}

// Cut loses the end of the message, and with it the closing boundary.
func Cut() Change {
	return Edited(func(signed []byte) []byte { return signed[:len(signed)-100] })
}

// Tampered changes one letter of the signed text.
func Tampered() Change {
	return Edited(func(signed []byte) []byte { return bytes.Replace(signed, []byte("Test list"), []byte("Best list"), 1) })
}

// SHA1 signs with a digest that a strict site refuses.
func SHA1() Change { return openssl("-md", "sha1") }

// Binary signs the list with the line ends it has, which only a subscription
// with "binary: true" accepts.
func Binary() Change { return openssl("-md", "sha256", "-binary") }

// SHA224 signs with a digest that nobody asked for.
func SHA224() Change { return openssl("-md", "sha224") }

// TwoSigners has Bob sign as well.
func TwoSigners() Change {
	return func(m *Message) {
		cert, key := m.World.Bob.WritePEM(m.World.T.TempDir(), "bob")
		openssl("-md", "sha256", "-signer", cert, "-inkey", key)(m)
	}
}

// Rogue has Alice certified by an authority the site does not trust.
func Rogue() Change {
	return func(m *Message) { m.Signer = m.World.Rogue.Issue("Alice") }
}

// SignerExpired has Alice's certificate end yesterday.
func SignerExpired() Change { return validity(-365*24*time.Hour, -24*time.Hour) }

// SignerNotYetValid has Alice's certificate begin tomorrow.
func SignerNotYetValid() Change { return validity(24*time.Hour, 365*24*time.Hour) }

func validity(from, until time.Duration) Change {
	return func(m *Message) {
		at := m.World.At
		m.Signer = m.World.CA.Issue("Alice", RSA(), Valid(at.Add(from), at.Add(until)))
	}
}

// ForTLSOnly has Alice's certificate not meant for signing mail.
func ForTLSOnly() Change {
	return func(m *Message) {
		m.Signer = m.World.CA.Issue("Alice", RSA(), Usage(x509.KeyUsageDigitalSignature, x509.ExtKeyUsageClientAuth))
	}
}

// SignedByProxy has a proxy of Alice's sign.
func SignedByProxy() Change {
	return func(m *Message) {
		m.Chain = []*x509.Certificate{m.Signer.Cert}
		m.Signer = m.Signer.Proxy()
	}
}

// OutOfNamespace has the authority certify a name it may not.
func OutOfNamespace() Change {
	return func(m *Message) {
		m.Signer = m.World.CA.Issue("Alice", Subject("/DC=org/DC=elsewhere/OU=people/CN=Alice"))
	}
}

// SignerRevoked has Carol sign.
func SignerRevoked() Change { return func(m *Message) { m.Signer = m.World.Carol } }

// NoCRLForSigner has Alice certified by an authority without a CRL.
func NoCRLForSigner() Change {
	return func(m *Message) { m.Signer = m.World.NoCRL.Issue("Alice") }
}

// StaleCRLForSigner has Alice certified by an authority whose CRL is past its
// nextUpdate.
func StaleCRLForSigner() Change {
	return func(m *Message) { m.Signer = m.World.StaleCRL.Issue("Alice") }
}

// DuplicateKey writes a key a second time, in another case.
func DuplicateKey() Change { return List(func(b *Builder) { b.Set("DC:TITLE", "x") }) }

// NamesSomebodyElse has Bob sign a list that names Alice.
func NamesSomebodyElse() Change {
	return func(m *Message) {
		m.List.Endorsers(m.World.Alice.Endorser())
		m.Signer = m.World.Bob
	}
}

// Unauthorised has Bob sign a list of his own.
func Unauthorised() Change { return func(m *Message) { m.Signer = m.World.Bob } }

// FromTheFuture has the list made in an hour.
func FromTheFuture() Change {
	return func(m *Message) { m.List.Created(m.World.At.Add(time.Hour)) }
}

// Expired has the list expire an hour ago.
func Expired() Change {
	return func(m *Message) { m.List.Created(m.World.At.AddDate(0, 0, -28)).Expires(m.World.At.Add(-time.Hour)) }
}

// Version gives the list another version.
func Version(v string) Change { return List(func(b *Builder) { b.Version(v) }) }

// ID gives the list another identifier.
func ID(id string) Change { return List(func(b *Builder) { b.ID(id) }) }

// openssl signs with the openssl program, which can do what smime.Sign refuses.
func openssl(args ...string) Change {
	return func(m *Message) {
		t := m.World.T
		m.how = func(content []byte) []byte {
			t.Helper()
			dir := t.TempDir()
			cert, key := m.Signer.WritePEM(dir, "signer")
			path := filepath.Join(dir, "list")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			command := exec.Command("openssl", append([]string{"smime", "-sign", "-in", path, "-signer", cert, "-inkey", key}, args...)...)
			signed, err := command.Output()
			if err != nil {
				t.Fatalf("openssl smime -sign: %v", err)
			}
			return signed
		}
	}
}
