package subscriber

import "vouch/imagelist/verdict"

// hints say what to do about each verdict, to an administrator at 3 a.m.
var hints = map[verdict.Code]string{
	verdict.Fetch:                "check the server and the network; what is cached stays until it expires",
	verdict.TooLarge:             "if the list is really that large, raise fetch.max_list_size",
	verdict.NotSigned:            "the server does not serve a signed list; check the URL, ask the publisher",
	verdict.MalformedEnvelope:    "the message is damaged or was changed on the way; vouch publisher verify URL says where",
	verdict.Signature:            "ask the endorser; somebody may have changed it on the way; do not weaken anything",
	verdict.WeakAlgorithm:        "ask the endorser to sign with SHA-256; for an old list: allow_sha1 on the subscription",
	verdict.UnsupportedAlgorithm: "ask the endorser to sign with RSA or ECDSA and SHA-256",
	verdict.MultipleSigners:      "ask the endorser for a list with one signature",
	verdict.Untrusted:            "is the endorser's CA installed in trust.anchors? vouch trust ls shows what is",
	verdict.CertExpired:          "the endorser must renew the certificate and sign the list again",
	verdict.CertNotYetValid:      "check this machine's clock; otherwise ask the endorser",
	verdict.KeyUsage:             "the certificate is not made for signing mail; for an old CA: purpose: any on the subscription",
	verdict.ProxyCertificate:     "ask the endorser to sign with the real certificate, not a proxy",
	verdict.SigningPolicy:        "the CA's signing policy does not allow this name; vouch trust check shows the files",
	verdict.Revoked:              "the certificate was revoked: expect a list from a new one; do not weaken anything",
	verdict.CRLMissing:           "run fetch-crl",
	verdict.CRLStale:             "run fetch-crl; check that its cron job or timer runs",
	verdict.MalformedList:        "ask the endorser to correct the list",
	verdict.EndorserMismatch:     "the list names another endorser than its signer; ask the endorser",
	verdict.NotAuthorised:        "if this endorser may speak for the subscription, add dn and ca to its endorsers",
	verdict.IdentifierChanged:    "this is another list; if that is meant, subscribe to it under a new name",
	verdict.IdentifierClash:      "another list has this identifier; vouch image release ID --to NAME if that is wrong",
	verdict.VersionRollback:      "the server offers an older list, or somebody plays one back; if it is meant: vouch subscription reset-floor",
	verdict.VersionReused:        "the endorser changed the list without raising its version; ask for a new version",
	verdict.CreatedInFuture:      "check this machine's clock; otherwise ask the endorser",
	verdict.ListExpired:          "the endorser must sign a new list; its images are withdrawn until then",
	verdict.MalformedEntry:       "ask the endorser to correct the entry; the other images are unaffected",
	verdict.ImageExpired:         "ask the endorser to endorse a newer image",
	verdict.ChecksumMismatch:     "the server has other bytes than were endorsed; ask the endorser; nothing of them was shown",
	verdict.SizeMismatch:         "the server has other bytes than were endorsed; ask the endorser; nothing of them was shown",
	verdict.NoSpace:              "free space on the cache's file system, or lower cache.min_free",
	verdict.OverQuota:            "raise cache.max_size, or select fewer images",
	verdict.NetworkDenied:        "lists must not point into private networks; if this one may: fetch.allow_networks",
	verdict.Blocked:              "blocked by this site: vouch block ls",
	verdict.Held:                 "waits for you: vouch image approve ID",
}

// HintFor says what to do about a verdict, "" for a code it does not know.
func HintFor(c verdict.Code) string { return hints[c] }
