// Package active is what instrumented code asks before each return of a
// refusal: whether this one has been deleted. It is compiled into nothing but
// the test binaries of testdata/mutants.
package active

import (
	"fmt"
	"io"
	"os"
	"reflect"
	"strconv"
	"sync"
	"time"
)

// Variable names the environment variable with the number of the mutant, or
// Trace.
const Variable = "VOUCH_MUTANT"

// Trace as the value of Variable deletes nothing. Every mutant that is reached
// is written to standard output instead, once in each stretch of a test's
// output, as a line that begins with Mark. Standard output has to be a file.
const (
	Trace = "trace"
	Mark  = "@mutant "
)

var chosen, tracing = func() (int, bool) {
	value := os.Getenv(Variable)
	n, err := strconv.Atoi(value)
	if err != nil {
		n = -1
	}
	return n, value == Trace
}()

// Kept says whether return n is there.
func Kept(n int) bool {
	if tracing {
		trace.note(n)
	}
	return n != chosen
}

// Zero sets the results of a function of which a return was deleted.
func Zero(results ...any) {
	for _, r := range results {
		reflect.ValueOf(r).Elem().SetZero()
	}
}

var trace = recorder{seen: map[int]bool{}, asked: map[int]time.Time{}}

// recorder writes between the lines by which package testing says which test
// runs. That another one does shows in where the file ends.
type recorder struct {
	mu    sync.Mutex
	end   int64
	seen  map[int]bool
	asked map[int]time.Time
}

// often is how soon one mutant is not looked at again: a call of the kernel for
// every element of a large list takes minutes, and no test is that short.
const often = 20 * time.Microsecond

func (r *recorder) note(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.asked[n]) < often {
		return
	}
	r.asked[n] = now
	at, err := os.Stdout.Seek(0, io.SeekCurrent)
	if err != nil {
		panic(err)
	}
	if at != r.end {
		clear(r.seen)
	}
	r.end = at
	if !r.seen[n] {
		r.seen[n] = true
		written, _ := fmt.Fprintf(os.Stdout, "\n%s%d\n", Mark, n)
		r.end += int64(written)
	}
}
