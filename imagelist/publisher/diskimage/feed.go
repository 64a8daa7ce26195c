package diskimage

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
)

const (
	bufferSize = 512 << 10
	ringSize   = 8 // 4 MiB in all
)

// buffer is one piece of the file on its way to the sinks.
type buffer struct {
	data  []byte
	users atomic.Int32 // sinks that have not had it yet
}

// feed reads size bytes once and writes them to every sink. Hashing is serial
// and the slowest part, so each sink has its own goroutine and buffers go round
// in a ring. The sinks never fail.
func feed(ctx context.Context, f *os.File, size int64, sinks []io.Writer, progress func(done, total int64)) error {
	free := make(chan *buffer, ringSize)
	for range min(ringSize, size/bufferSize+1) {
		free <- &buffer{data: make([]byte, 0, bufferSize)}
	}
	full := make([]chan *buffer, len(sinks))
	var wg sync.WaitGroup
	for i, sink := range sinks {
		full[i] = make(chan *buffer, ringSize)
		wg.Go(func() { drain(sink, full[i], free) })
	}
	err := readAll(ctx, f, size, free, full, progress)
	for _, c := range full {
		close(c)
	}
	wg.Wait()
	return err
}

func drain(sink io.Writer, full <-chan *buffer, free chan<- *buffer) {
	for b := range full {
		sink.Write(b.data)
		if b.users.Add(-1) == 0 {
			free <- b
		}
	}
}

// readAll takes exactly size bytes: fewer or more are a file that changed.
func readAll(ctx context.Context, f *os.File, size int64, free <-chan *buffer, full []chan *buffer, progress func(done, total int64)) error {
	for done := int64(0); done < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := <-free
		n, err := io.ReadFull(f, b.data[:min(bufferSize, size-done)])
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return changed(fmt.Sprintf("it ends after %d bytes of %d", done+int64(n), size))
		}
		if err != nil {
			return fmt.Errorf("read at %d: %w", done, cause(err))
		}
		b.data = b.data[:n]
		b.users.Store(int32(len(full)))
		for _, c := range full {
			c <- b
		}
		done += int64(n)
		if progress != nil {
			progress(done, size)
		}
	}
	if n, _ := f.Read(make([]byte, 1)); n > 0 {
		return changed(fmt.Sprintf("it goes on after %d bytes", size))
	}
	return nil
}
