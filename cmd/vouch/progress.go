package main

import (
	"io"
	"sync"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"vouch/subscriber/event"
)

// bars shows downloads on a terminal, one line each. It is the
// subscriber.Progress of a sync; its methods are safe for concurrent use.
type bars struct {
	area *mpb.Progress

	mu   sync.Mutex
	next int
	live map[int]*mpb.Bar
}

func newBars(w io.Writer) *bars {
	return &bars{area: mpb.New(mpb.WithOutput(w), mpb.WithWidth(60)), live: map[int]*mpb.Bar{}}
}

// Start begins a line; offset bytes are there already.
func (b *bars) Start(image, title string, offset, size int64) int {
	name := title
	if name == "" {
		name = image
	}
	bar := b.area.AddBar(size,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(
			decor.Name(shortened(event.Printable(name), 32), decor.WCSyncSpaceR),
			decor.CountersKibiByte("% .1f / % .1f", decor.WCSyncSpace),
		),
		mpb.AppendDecorators(
			decor.AverageSpeed(decor.SizeB1024(0), "% .1f", decor.WCSyncSpace),
			decor.AverageETA(decor.ET_STYLE_GO, decor.WCSyncSpace),
		),
	)
	bar.SetCurrent(offset)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.next++
	b.live[b.next] = bar
	return b.next
}

func (b *bars) bar(id int) *mpb.Bar {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.live[id]
}

// Advance says how many bytes of the image are there now.
func (b *bars) Advance(id int, done int64) {
	if bar := b.bar(id); bar != nil {
		bar.SetCurrent(done)
	}
}

// Done ends a line, finished or not.
func (b *bars) Done(id int, err error) {
	if bar := b.bar(id); bar != nil && !bar.Completed() {
		bar.Abort(true)
	}
}

// finish removes what is left and gives the terminal back.
func (b *bars) finish() {
	b.mu.Lock()
	for _, bar := range b.live {
		if !bar.Completed() {
			bar.Abort(true)
		}
	}
	b.mu.Unlock()
	b.area.Wait()
}
