package differential

import (
	"bytes"
	"math/rand/v2"
	"slices"
)

// node is one element of a DER encoding that can be bent and written again.
type node struct {
	id       byte
	value    []byte  // when it has no children
	children []*node // of a constructed one, or of what an OCTET STRING encloses
	form     form
}

// form is how the length is written.
type form int

const (
	definite form = iota
	lengthy       // with leading zeros
	endless       // indefinite
	wrong         // one more than there is
)

// parse reads DER; nil when it is not, or has bytes after it.
func parse(der []byte) *node {
	n, rest := parseOne(der, 0)
	if n == nil || len(rest) > 0 {
		return nil
	}
	return n
}

func parseOne(in []byte, depth int) (*node, []byte) {
	const deepest = 24
	if len(in) < 2 || in[0]&0x1f == 0x1f || depth > deepest {
		return nil, nil
	}
	n := &node{id: in[0]}
	size, head := int(in[1]), 2
	if size >= 0x80 {
		count := size & 0x7f
		if count == 0 || count > 3 || len(in) < 2+count {
			return nil, nil
		}
		size, head = 0, 2+count
		for _, b := range in[2:head] {
			size = size<<8 | int(b)
		}
	}
	if len(in) < head+size {
		return nil, nil
	}
	body, rest := in[head:head+size], in[head+size:]
	n.value = body
	if n.id&0x20 == 0 && (n.id != 4 || len(body) == 0 || body[0] != 0x30 && body[0] != 3) {
		return n, rest
	}
	for left := body; len(left) > 0; {
		var child *node
		if child, left = parseOne(left, depth+1); child == nil {
			if n.children = nil; n.id&0x20 != 0 {
				return nil, nil
			}
			return n, rest
		}
		n.children = append(n.children, child)
	}
	return n, rest
}

func (n *node) body() []byte {
	if n.children == nil {
		return n.value
	}
	var out []byte
	for _, c := range n.children {
		out = append(out, c.der()...)
	}
	return out
}

func (n *node) der() []byte {
	body := n.body()
	head := []byte{n.id}
	size := len(body)
	switch {
	case n.form == endless && n.id&0x20 != 0:
		return slices.Concat(head, []byte{0x80}, body, []byte{0, 0})
	case n.form == wrong:
		size++
	}
	switch {
	case n.form == lengthy:
		head = append(head, 0x84, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
	case size < 0x80:
		head = append(head, byte(size))
	case size < 0x100:
		head = append(head, 0x81, byte(size))
	case size < 0x10000:
		head = append(head, 0x82, byte(size>>8), byte(size))
	default:
		head = append(head, 0x83, byte(size>>16), byte(size>>8), byte(size))
	}
	return append(head, body...)
}

// at follows a path of children; nil where there is none.
func (n *node) at(path ...int) *node {
	for _, i := range path {
		if n == nil || i >= len(n.children) {
			return nil
		}
		n = n.children[i]
	}
	return n
}

// child is the last child with an identifier.
func (n *node) child(id byte) *node {
	if n == nil {
		return nil
	}
	for _, c := range slices.Backward(n.children) {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (n *node) clone() *node {
	c := &node{id: n.id, value: bytes.Clone(n.value), form: n.form}
	for _, k := range n.children {
		c.children = append(c.children, k.clone())
	}
	return c
}

// all is every node below and including n, parents first.
func (n *node) all() []*node {
	list := []*node{n}
	for _, c := range n.children {
		list = append(list, c.all()...)
	}
	return list
}

// leaf is a primitive element.
func leaf(id byte, value []byte) *node { return &node{id: id, value: value} }

// The object identifiers that a change may put in the place of another.
var identifiers = [][]byte{
	{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1}, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2}, // data, signed data
	{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 3}, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 4}, // contentType, messageDigest
	{0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 5}, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1}, // signingTime, rsaEncryption
	{0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1}, {0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 2}, {0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 3}, // SHA-2
	{0x2b, 0x0e, 3, 2, 0x1a}, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2, 5}, // SHA-1, MD5
	{0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2}, {0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 4}, {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11},
	{0x55, 0x1d, 0x0f}, {0x55, 0x1d, 0x13}, {0x55, 0x1d, 0x25}, {0x55, 0x1d, 0x1e}, {0x55, 0x1d, 0x11}, {0x55, 0x1d, 0x23}, // extensions
	{0x2b, 6, 1, 5, 5, 7, 1, 14}, {0x2b, 6, 1, 5, 5, 7, 3, 1}, {0x2b, 6, 1, 5, 5, 7, 3, 4}, {0x55, 0x1d, 0x25, 0}, // proxy, usages
	{0x2a, 3, 4},
}

// A derChange bends one node.
type derChange func(r *rand.Rand, root, n *node)

// derChanges are what is done to the structure.
var derChanges = []derChange{
	func(r *rand.Rand, _, n *node) { // swap
		if len(n.children) > 1 {
			i := r.IntN(len(n.children) - 1)
			n.children[i], n.children[i+1] = n.children[i+1], n.children[i]
		}
	},
	func(r *rand.Rand, _, n *node) { // delete
		if len(n.children) > 0 {
			i := r.IntN(len(n.children))
			n.children = slices.Delete(n.children, i, i+1)
			if len(n.children) == 0 {
				n.value = nil
			}
		}
	},
	func(r *rand.Rand, _, n *node) { // duplicate
		if len(n.children) > 0 {
			i := r.IntN(len(n.children))
			n.children = slices.Insert(n.children, i, n.children[i].clone())
		}
	},
	func(r *rand.Rand, root, n *node) { // put there what is elsewhere
		all := root.all()
		if other := all[r.IntN(len(all))].clone(); len(other.der()) < 4<<10 {
			*n = *other
		}
	},
	func(r *rand.Rand, root, n *node) { // insert
		extra := []*node{leaf(5, nil), leaf(2, []byte{1}), {id: 0x30}, leaf(0x80, nil), leaf(4, []byte("x")), leaf(0, nil)}
		if n.id&0x20 != 0 {
			n.children = slices.Insert(n.children, r.IntN(len(n.children)+1), extra[r.IntN(len(extra))])
		}
	},
	func(r *rand.Rand, _, n *node) { // identifier
		ids := []byte{0x30, 0x31, 0xa0, 0xa1, 0xa3, 0x80, 0x81, 2, 3, 4, 5, 6, 0x0a, 0x0c, 0x13, 0x14, 0x16, 0x17, 0x18, 0x1e, 0x24}
		n.id = ids[r.IntN(len(ids))]
	},
	func(r *rand.Rand, _, n *node) { n.id ^= 1 << r.IntN(8) },
	func(r *rand.Rand, _, n *node) { n.form = form(1 + r.IntN(3)) },
	func(r *rand.Rand, _, n *node) { // a bit
		if n.children == nil && len(n.value) > 0 {
			n.value = bytes.Clone(n.value)
			n.value[r.IntN(len(n.value))] ^= 1 << r.IntN(8)
		}
	},
	func(r *rand.Rand, _, n *node) { // longer or shorter
		if n.children != nil {
			return
		}
		switch v := bytes.Clone(n.value); r.IntN(4) {
		case 0:
			n.value = append(v, byte(r.Uint32()))
		case 1:
			n.value = append([]byte{0}, v...)
		case 2:
			n.value = v[:max(0, len(v)-1)]
		case 3:
			n.value = nil
		}
	},
	func(r *rand.Rand, root, _ *node) { changeIdentifier(r, root) },
	func(r *rand.Rand, root, _ *node) { changeNumber(r, root) },
	func(r *rand.Rand, root, _ *node) { changeTime(r, root) },
	func(r *rand.Rand, root, _ *node) { changeString(r, root) },
	func(r *rand.Rand, _, n *node) { // wrap
		inner := n.clone()
		*n = node{id: []byte{0x30, 0x31, 0xa0, 0x24}[r.IntN(4)], children: []*node{inner}}
	},
	func(r *rand.Rand, _, n *node) { // in pieces
		if n.id == 4 && n.children == nil && len(n.value) > 1 {
			cut := 1 + r.IntN(len(n.value)-1)
			*n = node{id: 0x24, children: []*node{leaf(4, n.value[:cut]), leaf(4, n.value[cut:])}, form: endless}
		}
	},
	func(r *rand.Rand, _, n *node) { // the order of DER, or another
		if n.id == 0x31 || n.id == 0xa0 {
			slices.SortFunc(n.children, func(a, b *node) int { return bytes.Compare(a.der(), b.der()) })
			if r.IntN(2) == 0 {
				slices.Reverse(n.children)
			}
		}
	},
}

// one picks a node with one of some identifiers.
func one(r *rand.Rand, root *node, ids ...byte) *node {
	var found []*node
	for _, n := range root.all() {
		if n.children == nil && slices.Contains(ids, n.id) {
			found = append(found, n)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[r.IntN(len(found))]
}

func changeIdentifier(r *rand.Rand, root *node) {
	if n := one(r, root, 6); n != nil {
		n.value = identifiers[r.IntN(len(identifiers))]
	}
}

func changeNumber(r *rand.Rand, root *node) {
	if n := one(r, root, 2, 1, 0x0a); n != nil {
		numbers := [][]byte{{0}, {1}, {2}, {3}, {4}, {5}, {0x7f}, {0xff}, {0x80}, {0, 1}, {0xff, 0xff}, {1, 0, 0, 0, 0, 0, 0, 0, 0}, nil}
		n.value = numbers[r.IntN(len(numbers))]
	}
}

func changeTime(r *rand.Rand, root *node) {
	if n := one(r, root, 0x17, 0x18); n != nil {
		times := []string{"260601000000Z", "20260601000000Z", "2606010000Z", "260601000000+0000", "260601000001Z", "260531235959Z", "491231235959Z", "500101000000Z", "20260601000000.5Z", "99991231235959Z", "000000000000Z"}
		n.value = []byte(times[r.IntN(len(times))])
		if r.IntN(3) > 0 {
			n.id = 0x17
			if len(n.value) > 13 {
				n.id = 0x18
			}
		}
	}
}

func changeString(r *rand.Rand, root *node) {
	if n := one(r, root, 0x0c, 0x13, 0x16, 0x14); n != nil {
		switch r.IntN(3) {
		case 0:
			n.id = []byte{0x0c, 0x13, 0x16, 0x14, 0x1e}[r.IntN(5)]
		case 1:
			n.value = bytes.ToUpper(n.value)
		case 2:
			n.value = slices.Concat([]byte(" "), n.value, []byte("  "))
		}
	}
}
