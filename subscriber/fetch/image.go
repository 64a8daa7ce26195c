package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"slices"
	"time"

	"vouch/imagelist/verdict"
)

const imageTries = 4 // in one call: a connection cut three times heals in the same run

// Source is what an image list says about where an image is.
type Source struct {
	URI  string // http or https
	Size int64  // bytes, as signed
	// Progress, if set, is told the offset reached after every read, by the
	// goroutine that reads. It goes back when a transfer starts over.
	Progress func(offset int64)
}

// Image moves the bytes of src that sink does not hold yet into sink, and
// returns when sink holds exactly src.Size bytes. Whether they are the signed
// ones only their digest tells.
//
// Held bytes are resumed after, with If-Range when they came under a strong
// validator; without one, the digest decides, and it is the caller who starts
// over. An answer that does not continue them is not appended: a 200 replaces
// them, a wrong range or a 416 makes Image ask once for the whole.
//
// A Temporary failure is tried again, resuming, three times in all, with
// growing pauses of at most 20 s; how far a try came makes no difference. The
// call as a whole has size/MinRate and a minute.
//
// The error is an *Error with code fetch, size-mismatch or network-denied; an
// error of the sink is returned wrapped, and what moved in any case. After a
// failure the sink keeps what it holds, unless the body was longer than
// src.Size: then it is dropped, or the next call would find it complete.
func (c *Client) Image(ctx context.Context, o Origin, src Source, sink Sink) (Transfer, error) {
	at, err := parseTarget(src.URI)
	if err != nil {
		return Transfer{}, err
	}
	if src.Size < 0 {
		return Transfer{}, at.fail(verdict.SizeMismatch, "negative size")
	}
	ctx, cancel := context.WithTimeout(ctx, c.allowance(src.Size))
	defer cancel()
	t := &transfer{client: c, who: newAsker(o), at: at, src: src, sink: sink}
	fits := func(wait time.Duration) bool { return wait <= c.pace.patience }
	err = c.retry(ctx, imageTries, fits, func() error { return t.try(ctx) })
	return t.moved, err
}

// allowance is how long an image of size bytes may take.
func (c *Client) allowance(size int64) time.Duration {
	seconds := float64(size) / float64(c.dog.rate)
	if seconds > math.MaxInt64/4/float64(time.Second) {
		return math.MaxInt64 / 4
	}
	return time.Duration(seconds*float64(time.Second)) + c.pace.slack
}

// transfer is one call of Image.
type transfer struct {
	client *Client
	who    asker
	at     target
	src    Source
	sink   Sink

	moved   Transfer
	resumed bool // moved.ResumedFrom is settled
	whole   bool // ranges did not work: ask for the whole
}

// errStartOver is an answer that neither continues nor replaces what is held.
var errStartOver = errors.New("start over")

// try is one request, or two when ranges turn out not to work.
func (t *transfer) try(ctx context.Context) error {
	if t.sink.Offset() > t.src.Size {
		if err := t.restart(""); err != nil {
			return err
		}
	}
	if t.sink.Offset() == t.src.Size {
		t.began(t.src.Size)
		return nil
	}
	err := t.once(ctx)
	if errors.Is(err, errStartOver) && !t.whole {
		t.whole = true
		err = t.once(ctx)
	}
	return err
}

func (t *transfer) once(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	offset, held := t.sink.Offset(), t.sink.Validator()
	if t.whole {
		offset = 0
	}
	a, err := t.client.get(ctx, t.who, t.at, resume(offset, held))
	if err != nil {
		return err
	}
	defer a.Body.Close()
	if offset, err = t.begin(a, offset, held); err != nil {
		return err
	}
	t.began(offset)

	m := &meter{body: a.Body}
	go t.client.dog.watch(ctx, m, cancel)
	b := &imageBody{body: m, left: t.src.Size - offset, size: t.src.Size, progress: t.src.Progress}
	err = store(t.sink, b)
	t.moved.Downloaded += m.bytes.Load()
	return t.judge(ctx, a, b, err)
}

// begin decides what the body of a is good for: it returns the offset at which
// its first byte belongs, with the sink ready for it.
func (t *transfer) begin(a answer, offset int64, held string) (int64, error) {
	switch {
	case a.StatusCode == http.StatusRequestedRangeNotSatisfiable && offset > 0:
		return 0, errorFrom(a, errStartOver, "the server has less than is held already")
	case a.StatusCode == http.StatusPartialContent && offset > 0:
	case a.StatusCode == http.StatusOK:
		offset = 0
	default:
		return 0, a.refuse()
	}
	if err := a.plain(); err != nil {
		return 0, err
	}
	if a.StatusCode == http.StatusPartialContent {
		if err := continues(a, offset, t.src.Size, held); err != nil {
			return 0, err
		}
	}
	if want := t.src.Size - offset; a.ContentLength >= 0 && a.ContentLength != want {
		return 0, a.from.fail(verdict.SizeMismatch, fmt.Sprintf("the server has %d bytes more, not %d", a.ContentLength, want))
	}
	if a.StatusCode == http.StatusOK {
		return 0, t.restart(validator(a.Header))
	}
	return offset, nil
}

func (t *transfer) restart(validator string) error {
	if err := t.sink.Restart(validator); err != nil {
		return fmt.Errorf("store image: %w", err)
	}
	return nil
}

// began notes where the transfer began; bytes that were dropped do not count.
func (t *transfer) began(offset int64) {
	if !t.resumed || offset == 0 {
		t.moved.ResumedFrom = offset
	}
	t.resumed = true
	if t.src.Progress != nil {
		t.src.Progress(offset)
	}
}

// judge says what became of the body b of a, given the sink's error.
func (t *transfer) judge(ctx context.Context, a answer, b *imageBody, err error) error {
	switch {
	case b.err == errLonger:
		if err := t.restart(""); err != nil {
			return err
		}
		return a.from.fail(verdict.SizeMismatch, fmt.Sprintf("longer than %d bytes", t.src.Size))
	case b.err == io.ErrUnexpectedEOF && b.clean && slices.Contains(a.TransferEncoding, "chunked"):
		return a.from.fail(verdict.SizeMismatch, fmt.Sprintf("ends %d bytes before %d", b.left, t.src.Size))
	case b.err != nil && b.err != io.EOF:
		return broken(ctx, a.from, b.err)
	case err != nil:
		return fmt.Errorf("store image: %w", err)
	case b.err == nil:
		return errors.New("store image: the sink did not read to the end")
	}
	return nil
}

// store copies b into sink by the sink's own means, if it has any.
func store(sink Sink, b io.Reader) error {
	if r, ok := sink.(io.ReaderFrom); ok {
		_, err := r.ReadFrom(b)
		return err
	}
	_, err := io.CopyBuffer(struct{ io.Writer }{sink}, b, make([]byte, 256<<10))
	return err
}

// errLonger is a body that goes on after the last byte it should have.
var errLonger = errors.New("body longer than its size")

// imageBody gives out exactly left bytes of body, then asks for one more to
// see that there is none.
type imageBody struct {
	body     io.Reader
	left     int64
	size     int64
	progress func(int64)
	err      error // how reading ended; io.EOF when all is well
	clean    bool  // the body ended, but too early
}

func (b *imageBody) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
	case b.left == 0:
		b.err = b.end()
		return 0, b.err
	case int64(len(p)) > b.left:
		p = p[:b.left]
	}
	n, err := b.body.Read(p)
	b.left -= int64(n)
	if b.progress != nil && n > 0 {
		b.progress(b.size - b.left)
	}
	switch {
	case err == io.EOF && b.left == 0:
		err = nil // end looks again
	case err == io.EOF:
		b.clean, b.err = true, io.ErrUnexpectedEOF
	default:
		b.err = err
	}
	if b.err != nil {
		err = b.err
	}
	return n, err
}

func (b *imageBody) end() error {
	var one [1]byte
	_, err := io.ReadFull(b.body, one[:])
	if err == nil {
		return errLonger
	}
	return err
}
