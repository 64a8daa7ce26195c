package differential

import (
	"crypto/x509"
	"regexp"

	"vouch/imagelist/verdict"
	"vouch/testdata/cases"
)

// looser tells classes of cases.Differences from what OpenSSL says, and where
// that is not enough from the message.
var looser = []struct {
	class   string
	tool    string // "" is either
	says    *regexp.Regexp
	message func(*cases.Case) bool
}{
	{"binary-option", "", regexp.MustCompile("digest failure|content verify error"), func(c *cases.Case) bool { return c.Has(cases.Binary) }},
	{"last-second", "", regexp.MustCompile("certificate has expired"), lastSecond},
	{"certificate-parser", "", regexp.MustCompile("asn1 error|invalid certificate|format error in certificate"), nil},
	{"rsa-pss", "smime", regexp.MustCompile("signature failure|unknown|wrong"), nil},
	{"key-identifier", "smime", regexp.MustCompile("PKCS7_ISSUER_AND_SERIAL"), nil},
	{"pem-label", "", regexp.MustCompile("no start line"), nil},
	{"openssl-mime", "", regexp.MustCompile("SMIME_read|no content type|mime|not proc type|bad end line"), nil},
}

// lastSecond says whether a certificate of the message expires at the instant.
func lastSecond(c *cases.Case) bool {
	m, _ := carve(c.Message)
	certs := partsOf(parse(m.der)).certs
	if certs == nil {
		return false
	}
	for _, der := range certs.children {
		if cert, err := x509.ParseCertificate(der.der()); err == nil && cert.NotAfter.Equal(c.At) {
			return true
		}
	}
	return false
}

// A Class of messages that OpenSSL accepts and we refuse.
type Class struct {
	Class  string
	Code   verdict.Code
	detail *regexp.Regexp // of the refusal
	Reason string
	when   func(*cases.Case) bool // nil: always
}

func class(name string, code verdict.Code, detail, reason string) Class {
	return Class{name, code, regexp.MustCompile(detail), reason, nil}
}

// of says whether a refused case is of the class.
func (s Class) of(c *cases.Case, detail string) bool {
	return string(s.Code) == c.Expect && s.detail.MatchString(detail) && (s.when == nil || s.when(c))
}

// unasked says whether OpenSSL, which has no such mode, was not told to look
// at CRLs.
func unasked(c *cases.Case) bool { return c.CRL != "" }

// Stricter are the classes of messages that OpenSSL accepts and we refuse, and
// why that is right. There are no others.
var Stricter = []Class{
	class("not-der", verdict.MalformedEnvelope, "^PKCS#7: ber: not DER", "certificates and what is signed of a signer have to be DER (RFC 5652 §5.3, §10.2.2)"),
	class("ber-form", verdict.MalformedEnvelope, "^PKCS#7: ber: (bad identifier or length|a piece of)", "an encoding that X.690 does not allow, or a tag that no field has"),
	class("limits", verdict.MalformedEnvelope, "^PKCS#7: ber: too deep", "threats.md T-46"),
	class("trailing", verdict.MalformedEnvelope, "ber: bytes after the end|^PEM: headers, or text after", "trust.md, case table: bytes after the structure"),
	class("preamble", verdict.MalformedEnvelope, "text before the first part", "trust.md, case table: shown by some readers, signed by nobody"),
	class("epilogue", verdict.MalformedEnvelope, "text after the last part", "trust.md, case table: shown by some readers, signed by nobody"),
	class("two-types", verdict.MalformedEnvelope, "more than one Content-Type|signature part: bad header", "readers differ in which of two headers they take"),
	class("signature-type", verdict.MalformedEnvelope, "signature part: Content-Type|^protocol ", "RFC 8551 §3.5.3: the second part is a PKCS#7 signature and says so"),
	class("encoding", verdict.MalformedEnvelope, "Content-Transfer-Encoding", "a part that is encoded otherwise than it says would be read otherwise elsewhere"),
	class("media-type", verdict.MalformedEnvelope, "^Content-Type .* mime: |header is not that of plain text|no usable boundary", "a header that RFC 2045 and 2046 do not allow, or a nested part"),
	class("boundary", verdict.MalformedEnvelope, "a line that only begins like the boundary", "OpenSSL takes such a line for the boundary, others do not (RFC 2046 §5.1.1)"),
	class("pem", verdict.MalformedEnvelope, "^PEM: cannot be decoded", "RFC 7468 §2: OpenSSL reads PEM more loosely"),
	class("forged-attributes", verdict.MalformedEnvelope, "the content is an encoding of signed attributes", "trust.md, case table: ForgedAttributes"),
	class("base64", verdict.MalformedEnvelope, "illegal base64", "one structure has one text"),
	class("fields", verdict.MalformedEnvelope, "wrong version or fields|wrong fields|wrong content fields|content is not one octet string", "RFC 5652 §5.1, §5.3: versions, and no field that there is not"),
	class("attributes", verdict.MalformedEnvelope, "^SignerInfo: (signed attributes|content type attribute|message digest attribute|signing time attribute|no signed attributes)", "RFC 5652 §5.3, §11.1, §11.2; trust.md, case table"),
	class("asn1", verdict.MalformedEnvelope, "^(PKCS#7|SignedData|SignerInfo): (signer identifier: )?asn1: ", "not the structure of RFC 5652 §5"),
	class("content-type", verdict.MalformedEnvelope, "content type .* is not data", "RFC 5652 §5.1: an image list is data"),
	class("digests", verdict.MalformedEnvelope, "its digest algorithm is not among", "RFC 5652 §5.1: digestAlgorithms lists those of the signers"),
	class("certificate-unread", verdict.MalformedEnvelope, "the signer's certificate is not in the message or cannot be read", "crypto/x509 is stricter than OpenSSL (RFC 5280), and does not name certificates as loosely"),
	class("signer-identifier", verdict.MalformedEnvelope, "signer identifier|certificates match", "a signer has one name and one certificate"),
	class("pem-label", verdict.NotSigned, "^PEM of type", "a certificate is not a message"),
	class("media-type", verdict.NotSigned, "^not an S/MIME message", "RFC 8551 §3.4, §3.5"),
	class("signature-algorithm", verdict.Signature, "signature algorithm specifies", "RFC 5652 §5.3: the algorithm named is the one that signed; OpenSSL does not look at it"),
	class("several-signers", verdict.MultipleSigners, "", "trust.md, case table: exactly one"),
	class("weak", verdict.WeakAlgorithm, "", "trust.md, case table: SHA-1, MD5 and keys under 2048 bits"),
	class("unsupported", verdict.UnsupportedAlgorithm, "", "algorithms and keys that nobody asked for; limits of T-46"),
	class("depth", verdict.Untrusted, "every chain has more than", "threats.md T-46: at most six CAs"),
	class("name-comparison", verdict.Untrusted, "no anchor|was not issued by the CA it names", "names are compared byte for byte (RFC 5280 §4.1.2.4), as crypto/x509 does (trust.md 3.6)"),
	class("ca-signer", verdict.KeyUsage, "is a CA$", "trust.md: a CA signs no lists"),
	class("proxy", verdict.ProxyCertificate, "", "trust.md 3.7: never"),
	class("policy", verdict.SigningPolicy, "", "OpenSSL knows no signing policies"),
	class("list", verdict.MalformedList, "", "OpenSSL knows no lists"),
	class("list", verdict.ListExpired, "", "OpenSSL knows no lists"),
	class("list", verdict.CreatedInFuture, "", "OpenSSL knows no lists"),
	class("endorser", verdict.EndorserMismatch, "", "OpenSSL knows no endorsers"),
	class("endorser", verdict.NotAuthorised, "", "OpenSSL knows no endorsers"),
	class("crl-digest", verdict.CRLMissing, "uses a digest that is not accepted", "trust.md 3.4: MD5 and RSA-PSS over SHA-1 never"),
	class("crl-extension", verdict.CRLMissing, "critical extension", "RFC 5280 §5.2, §5.3: an extension that is critical and not understood"),
	class("critical-extension", verdict.Untrusted, "unhandled critical extension", "RFC 5280 §4.2: one that is critical and not understood, name constraints that crypto/x509 does not know among them"),
	{"crl-mode", verdict.CRLMissing, anything, "OpenSSL knows no CRLs that count only if present", unasked},
	{"crl-mode", verdict.CRLStale, anything, "OpenSSL knows no CRLs that count only if present", unasked},
	{"crl-mode", verdict.Revoked, anything, "OpenSSL knows no CRLs that count only if present", unasked},
}

var anything = regexp.MustCompile("")
