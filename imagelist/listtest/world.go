// Package listtest is the world of a test: authorities, endorsers, a trust
// directory, lists and messages. Everything in it is good until one thing is
// made bad, so that every refusal is one line:
//
//	w := listtest.New(t)
//	raw := w.Message(listtest.Expired())
//
// Certificates, CRLs and lists are valid around World.At, which is the present:
// programs that ask the clock can be tested too.
package listtest

import (
	"crypto/x509"
	"testing"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
)

// World holds one trust directory and who is known in it.
type World struct {
	T  testing.TB
	At time.Time // the instant around which all is valid
	// Dir is a hashed directory. It trusts CA, with everything asked for, NoCRL
	// without a CRL, and StaleCRL with one past its nextUpdate; not Rogue.
	Dir                        string
	CA, NoCRL, StaleCRL, Rogue *CA
	Alice                      *Identity // the authorised endorser, with an RSA key
	Bob                        *Identity // another person certified by CA, with a P-256 key
	Carol                      *Identity // revoked by CA
}

// New makes a world.
func New(t testing.TB) *World {
	t.Helper()
	w := &World{T: t, Dir: t.TempDir()}
	w.CA = NewCA(t, "Example CA")
	w.At = w.CA.at
	w.NoCRL = NewCA(t, "CA without CRL")
	w.StaleCRL = NewCA(t, "CA with stale CRL")
	w.Rogue = NewCA(t, "Rogue CA")
	w.Alice = w.CA.Issue("Alice", RSA())
	w.Bob = w.CA.Issue("Bob")
	w.Carol = w.CA.Issue("Carol")
	w.CA.Revoke(w.Carol)
	w.CA.WriteTo(w.Dir)
	w.NoCRL.WriteTo(w.Dir, NoCRL())
	w.StaleCRL.WriteTo(w.Dir, CRLDates(w.At.AddDate(0, 0, -9), w.At.AddDate(0, 0, -2)))
	return w
}

// Anchors loads the trust directory as it is now.
func (w *World) Anchors() *trust.Store {
	w.T.Helper()
	store, err := trust.Load(w.Dir)
	if err != nil {
		w.T.Fatal(err)
	}
	return store
}

// Question asks for Alice, strictly.
func (w *World) Question() imagelist.Question {
	return imagelist.Question{Authorised: []imagelist.Authorised{w.Alice.Authorised()}}
}

// Verify judges a message at the world's instant.
func (w *World) Verify(raw []byte) (*imagelist.Verified, error) {
	w.T.Helper()
	return imagelist.Verify(raw, w.Anchors(), w.At, w.Question())
}

// A Change makes one thing of a message different.
type Change func(*Message)

// Message is a signed list in the making.
type Message struct {
	World  *World
	List   *Builder
	Signer *Identity // named by the list, unless it names somebody itself
	Chain  []*x509.Certificate
	Sign   smime.SignOptions
	how    func(content []byte) []byte // signs instead of smime.Sign
	edit   func(signed []byte) []byte
}

// Message makes a list with one image, signed by Alice at the world's instant,
// with the changes applied in their order.
func (w *World) Message(changes ...Change) []byte {
	w.T.Helper()
	m := &Message{World: w, List: NewList(w.At), Signer: w.Alice, Sign: smime.SignOptions{At: w.At}}
	m.List.Image("image-1", []byte("image one"), "https://images.example.org/image-1.qcow2")
	for _, change := range changes {
		change(m)
	}
	if m.List.head["hv:endorser"] == nil {
		m.List.Endorsers(m.Signer.Endorser())
	}
	content := m.List.Bytes(w.T)
	signed := m.sign(content)
	if m.edit != nil {
		signed = m.edit(signed)
	}
	return signed
}

func (m *Message) sign(content []byte) []byte {
	t := m.World.T
	t.Helper()
	if m.how != nil {
		return m.how(content)
	}
	signed, err := smime.Sign(content, m.Signer.Cert, m.Signer.Key, m.Chain, m.Sign)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// Sign signs a list as it stands, with Alice as its endorser if it names none.
func (w *World) Sign(b *Builder) []byte {
	w.T.Helper()
	return w.Message(func(m *Message) { m.List = b })
}

// List changes the list.
func List(change func(*Builder)) Change { return func(m *Message) { change(m.List) } }

// SignedBy makes another identity the signer, and the endorser the list names.
func SignedBy(id *Identity) Change { return func(m *Message) { m.Signer = id } }

// Opaque puts the list inside the PKCS#7 structure.
func Opaque() Change { return func(m *Message) { m.Sign.Opaque = true } }

// Edited changes the finished message.
func Edited(edit func([]byte) []byte) Change { return func(m *Message) { m.edit = edit } }
