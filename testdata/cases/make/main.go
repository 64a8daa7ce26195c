// Make writes the body of cases: every file below testdata/cases that ends in
// .case, and the trust directories they are judged under.
//
//	go run ./testdata/cases/make
//
// The verdicts a case declares are written down here, from the rules they name.
// Those of OpenSSL are recorded from the openssl on the PATH. All else is
// computed from names, keys and signatures included, so that a second run
// changes nothing.
package main

import (
	"fmt"
	"os"

	"vouch/testdata/cases"
)

func main() {
	b := newBook()
	for _, family := range []func(*book){
		envelopes, structures, algorithms, chains, revocations, policies, distinguishedNames, lists,
	} {
		family(b)
	}
	if err := b.write(cases.Dir()); err != nil {
		fmt.Fprintln(os.Stderr, "cases:", err)
		os.Exit(1)
	}
	fmt.Println(len(b.cases), "cases,", len(b.files), "files in trust directories")
}
