package imagelist

import (
	"cmp"
	"strings"
)

// CompareVersions orders two hv:version texts: negative if a is the older.
//
// A version is split at each of . - , / into parts, compared from the left; of
// two versions of which one begins the other, the longer is newer. A part of
// ASCII digits is a number of any length, leading zeros ignored, so that
// 1.9 < 1.10. Any other part is compared byte by byte. An empty part comes
// before numbers, and numbers before other text; so "" is the oldest version.
//
// The order is total over what it distinguishes: 0 means that neither version
// may replace the other, which also holds for 1.0 and 1-00. It takes time
// linear in the length of the texts.
func CompareVersions(a, b string) int {
	for {
		var partA, partB string
		var moreA, moreB bool
		partA, a, moreA = cutPart(a)
		partB, b, moreB = cutPart(b)
		if c := compareParts(partA, partB); c != 0 {
			return c
		}
		if !moreA || !moreB {
			return compareBools(moreA, moreB)
		}
	}
}

func cutPart(version string) (part, rest string, more bool) {
	if i := strings.IndexAny(version, ".-,/"); i >= 0 {
		return version[:i], version[i+1:], true
	}
	return version, "", false
}

func compareParts(a, b string) int {
	kindA, kindB := kindOf(a), kindOf(b)
	if kindA == numberPart && kindB == numberPart {
		a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
		return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	}
	return cmp.Or(cmp.Compare(kindA, kindB), cmp.Compare(a, b))
}

// The kinds of part, in their order.
const (
	emptyPart = iota
	numberPart
	textPart
)

func kindOf(part string) int {
	if part == "" {
		return emptyPart
	}
	for i := range len(part) {
		if part[i] < '0' || part[i] > '9' {
			return textPart
		}
	}
	return numberPart
}

func compareBools(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return 1
	}
	return -1
}
