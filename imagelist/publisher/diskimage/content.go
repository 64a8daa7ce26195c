package diskimage

import "io"

// content is an image as the parsers see it: bytes by offset.
type content struct {
	io.ReaderAt
	size  int64
	whole bool // false: the first size bytes of something longer, decompressed
}

// finding is what looking at a content tells.
type finding struct {
	Facts
	members *members
}
type members struct{ io.Writer }

func (m *members) verify() error { return nil }

func inspect(c *content) (*finding, error) {
	return &finding{Facts: Facts{Format: "raw", VirtualSize: c.size}}, nil
}
