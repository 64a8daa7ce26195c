package main

// survivors are the mutants that no test can kill, by name, and why the line
// stays.
var survivors = map[string]string{
	// What is encoded was read or made here, so encoding/asn1 and cryptobyte
	// have nothing to object to. An error passed over is one to be asked about.
	"smime/sign.go newSignerInfo: return nil, fmt.Errorf(\"signer identifier: %w\", err)": "of a name and a number that were parsed",
	"smime/sign.go encodeSigned: return nil, err #2":                                      "of bytes",
	"smime/sign.go encodeCertificates: return asn1.RawValue{}, err":                       "of whole elements",
	"smime/signature.go encodeMessage: return nil, err":                                   "of parts that were parsed",
	"smime/signature.go checkLibrary: return err":                                         "of encodeMessage",
	"smime/signature.go checkLibrary: return err #2":                                      "the library reads what encodeMessage writes; without it the recover would err",
	"trust/namehash.go canonical: return nil, false #2":                                   "a builder errs over 4 GiB",
	"trust/namehash.go canonical: return nil, false #4":                                   "likewise",
	"imagelist/encode.go encode: return nil, err":                                         "of values that were read as JSON",

	// The same refusal follows at once.
	"trust/load.go load: return nil, err":                  "no working directory: os.Stat(\"\") errs as well",
	"trust/guard.go dirVia: return \"\", err #2":           "a link that vanishes in between: its empty target is no directory",
	"trust/guard.go fileVia: return place{}, err #2":       "likewise",
	"trust/load.go directory: return err #2":               "a directory that may be entered and not read, which root never meets",
	"imagelist/diff.go Diff: return nil, err #2":           "diffHeads has read the metadata of all images",
	"imagelist/diff.go diffImages: return nil, err":        "likewise",
	"imagelist/diff.go diffImages: return nil, err #2":     "likewise",
	"imagelist/scan.go close: return err":                  "the decoder has already said that this token is next",
	"imagelist/scan.go open: return err":                   "the decoder repeats its error at the next token",
	"imagelist/encode.go parseMembers: return nil, err":    "likewise",
	"imagelist/encode.go parseMembers: return nil, err #2": "likewise",
	"imagelist/encode.go parseMembers: return nil, err #3": "likewise",

	// It saves time.
	"trust/crl.go find: return entry{}, false": "a list of 50,000 entries is not read again for who is not in it",
}
