package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"vouch/imagelist"
	"vouch/imagelist/smime"
	"vouch/imagelist/trust"
)

// worst are messages of at most 1 MiB that take as long to refuse as we know how.
func (h *hostile) worst() map[string][]byte {
	const certificates = 16
	all := map[string][]byte{}
	many := func(by, about signingKey, subject string, each func(i int) [][]byte) (list [][]byte) {
		for i := range certificates - 1 {
			list = append(list, h.certificate(by, about, subject, subject, append([][]byte{asCA, keyUsage}, each(i)...)...))
		}
		return list
	}
	with := func(first []byte, rest [][]byte) [][]byte { return append([][]byte{first}, rest...) }

	large := h.certificate(h.large, h.large, "maze", "signer", altNames(1, 10, "s"))
	all["16 certificates with RSA keys of 4096 bits that have all issued each other"] = h.message(h.large, 1, nil, nil,
		with(large, many(h.large, h.large, "maze", func(i int) [][]byte { return [][]byte{altNames(1, 10, fmt.Sprint("m", i))} }))...)
	slow := h.certificate(h.slow, h.slow, "maze", "signer", altNames(1, 10, "s"))
	maze := many(h.slow, h.slow, "maze", func(i int) [][]byte { return [][]byte{altNames(1, 10, fmt.Sprint("m", i))} })
	all["16 certificates with RSA keys of 8192 bits that have all issued each other"] = h.message(h.slow, 1, nil, nil, with(slow, maze)...)
	all["the same, and eight signers"] = h.message(h.slow, 8, nil, nil, with(slow, maze)...)

	fast := h.certificate(h.curve521, h.curve521, "maze", "signer", altNames(100, 600, "s"))
	heavy := many(h.curve521, h.curve521, "maze", func(i int) [][]byte { return [][]byte{altNames(100, 250, fmt.Sprint("m", i)), constraints(2000)} })
	all["a maze of name constraints"] = h.message(h.curve521, 1, nil, nil, with(fast, heavy)...)
	mid := h.certificate(h.middle, h.middle, "maze", "signer", altNames(100, 600, "s"))
	all["a maze of name constraints with quicker keys"] = h.message(h.middle, 1, nil, nil, with(mid,
		many(h.middle, h.middle, "maze", func(i int) [][]byte { return [][]byte{altNames(100, 250, fmt.Sprint("m", i)), constraints(2000)} }))...)
	chain := [][]byte{h.certificate(h.curve521, h.curve521, "level 0", "signer")}
	for i := range certificates - 1 {
		chain = append(chain, h.certificate(h.curve521, h.curve521, fmt.Sprint("level ", i+1), fmt.Sprint("level ", i), asCA, keyUsage))
	}
	all["a chain of 16 to nobody"] = h.message(h.curve521, 1, nil, nil, chain...)
	all["a certificate with 1 MiB of alternative names"] = h.message(h.curve521, 1, nil, nil, h.certificate(h.curve521, h.curve521, "x", "signer", altNames(90000, 6, "")))
	all["15 others with 60 KiB of alternative names"] = h.message(h.curve521, 1, nil, nil, with(fast, many(h.curve521, h.curve521, "maze", func(i int) [][]byte { return [][]byte{altNames(4500, 6, fmt.Sprint(i))} }))...)

	signer := h.certificate(h.curve521, h.curve521, "x", "signer")
	long := strings.Repeat("é", 240<<10)
	all["names of 480 KiB that are escaped in print"] = h.message(h.curve521, 1, nil, nil, h.certificate(h.curve521, h.curve521, "x", long))
	var attributes [][]byte
	for i := range 9900 {
		attributes = append(attributes, seq(oid(1, 2, 3, i), tlv(0x31, tlv(4, make([]byte, 80)))))
	}
	all["9900 signed attributes"] = h.message(h.curve521, 1, attributes, nil, signer)
	all["1 MiB of CRLs"] = h.message(h.curve521, 1, nil, tlv(0xa1, bytes.Repeat(seq(seq(integer(1)), seq(null), tlv(3, make([]byte, 40))), 4000)), signer)
	all["nested as deep as it goes"] = bytes.Repeat([]byte{0x30, 0x80}, 1<<19)
	all["an octet string in 49000 pieces"] = pieces(49000)
	return all
}

func pieces(n int) []byte {
	piece := tlv(4, make([]byte, 18))
	inner := append(append([]byte{0x24, 0x80}, bytes.Repeat(piece, n)...), 0, 0)
	return seq(oid(1, 2, 840, 113549, 1, 7, 1), tlv(0xa0, inner))
}

// limits holds the worst messages against what may be spent on them (T-46), and
// the largest lists against 300 MiB (T-42).
func (b *bench) limits() error {
	h, err := newHostile()
	if err != nil {
		return err
	}
	anchors, err := trust.Load(b.world.anchors)
	if err != nil {
		return err
	}
	worst := h.worst()
	for _, name := range slices.Sorted(maps.Keys(worst)) {
		message := worst[name]
		if len(message) > smime.MaxPKCS7 {
			return fmt.Errorf("%s: %d bytes", name, len(message))
		}
		wall, cpu, why := time.Hour, time.Hour, ""
		for range b.rounds {
			begun, used := time.Now(), processorTime()
			_, told := imagelist.Examine(message, anchors, begun, imagelist.Question{})
			wall, cpu = min(wall, time.Since(begun)), min(cpu, processorTime()-used)
			why = string(told.Rejection.Code)
		}
		b.add(cpu < 250*time.Millisecond, fmt.Sprintf("PKCS#7 of %d KiB, %s: processor time", len(message)>>10, name),
			"< 250 ms", "%d ms, wall %d ms (%s)", cpu.Milliseconds(), wall.Milliseconds(), why)
	}
	return b.largest()
}

// processorTime is what this process has used so far; the garbage collector's
// share counts.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// largest verifies lists of 16 MiB and 10,000 images.
func (b *bench) largest() error {
	const most = 16 << 20
	// base64 takes a third more; what is left is for the certificate and the headers
	for _, opaque := range []bool{false, true} {
		room := most - 64<<10
		form := "clear-signed"
		if opaque {
			room, form = room*3/4-room/64, "opaque"
		}
		lists := b.world.largest(room)
		for _, name := range slices.Sorted(maps.Keys(lists)) {
			message, err := b.world.SignText(lists[name], opaque)
			if err != nil {
				return err
			}
			if len(message) > most {
				return fmt.Errorf("%s, %s: %d bytes", name, form, len(message))
			}
			file := filepath.Join(b.dir, "largest")
			if err := os.WriteFile(file, message, 0o644); err != nil {
				return err
			}
			have, err := b.inTurn(func() (cost, error) {
				return b.measure(exec.CommandContext(b.ctx, b.vouch, "publisher", "verify", file, "--anchors", b.world.anchors))
			})
			if err != nil {
				return err
			}
			b.add(have[0].peak < 300<<20, fmt.Sprintf("list of %.1f MiB and 10000 images, %s, %s: memory", float64(len(message))/(1<<20), form, name),
				"< 300 MiB", "%d MiB, %d ms", have[0].peak>>20, have[0].wall.Milliseconds())
		}
	}
	return nil
}

// largest are texts of lists with as many images as there may be, filled up to
// so many bytes in several ways.
func (w *world) largest(room int) map[string][]byte {
	now := time.Now().UTC()
	head := fmt.Sprintf(`{"hv:imagelist":{"dc:identifier":"largest","hv:version":"1","dc:date:created":%q,"dc:date:expires":%q,`+
		`"hv:endorser":{"hv:x509":{"hv:dn":%q,"hv:ca":%q}},"hv:images":[`,
		now.Add(-time.Hour).Format(time.RFC3339), now.AddDate(0, 0, 28).Format(time.RFC3339), w.DN(), w.CA())
	fill := map[string]func(n int) string{
		"one long text each": func(n int) string { return `,"sl:comments":"` + strings.Repeat("x", n-18) + `"` },
		"unknown keys": func(n int) string {
			var b strings.Builder
			for i := 0; b.Len() < n-14; i++ {
				fmt.Fprintf(&b, `,"k%d":%d`, i, i%10)
			}
			return b.String()
		},
		"escapes":          func(n int) string { return `,"dc:title":"` + strings.Repeat(`\u00e9`, (n-15)/6) + `"` },
		"arrays of arrays": func(n int) string { return `,"k":[` + strings.Repeat(`[],`, (n-12)/3) + `0]` },
		"short lines":      func(n int) string { return strings.Repeat("\r\n", n/2) },
	}
	all := map[string][]byte{}
	for name, rest := range fill {
		var b bytes.Buffer
		b.WriteString(head)
		for i := range imagelist.MaxImages {
			if i > 0 {
				b.WriteByte(',')
			}
			entry := fmt.Sprintf(`{"hv:image":{"dc:identifier":"i%d","hv:version":"1","hv:uri":"https://x/%d","hv:size":1,"sl:checksum:sha512":"%0128x"`, i, i, i)
			b.WriteString(entry)
			b.WriteString(rest((room-len(head)-8)/imagelist.MaxImages - len(entry) - 3))
			b.WriteString("}}")
		}
		b.WriteString("]}}\r\n")
		all[name] = b.Bytes()
	}
	return all
}
