package event

import (
	"slices"
	"testing"
)

var allTypes = []Type{
	SyncStarted, SyncFinished,
	ListAccepted, ListRejected, ListUnreachable, ListExpiring, ListExpired,
	ImageAnnounced, ImageAvailable, ImageUpdated, ImageSuperseded, ImageExpired, ImageRevoked,
	ImageBlocked, ImageDeselected, ImageCorrupt, ImageFailed,
}

func TestWants(t *testing.T) {
	legacy := []Type{
		SyncStarted, SyncFinished, ImageAvailable, ImageSuperseded, ImageExpired, ImageRevoked,
		ImageBlocked, ImageDeselected, ImageCorrupt,
	}
	legacyImages := slices.DeleteFunc(slices.Clone(legacy), func(t Type) bool { return t == SyncStarted || t == SyncFinished })
	for _, c := range []struct {
		name      string
		vmcatcher bool
		events    []string
		want      []Type
	}{
		{"everything by default", false, nil, allTypes},
		{"a family", false, []string{"list.*"}, []Type{ListAccepted, ListRejected, ListUnreachable, ListExpiring, ListExpired}},
		{"one type", false, []string{"image.failed"}, []Type{ImageFailed}},
		{"two globs", false, []string{"sync.started", "image.a*"}, []Type{SyncStarted, ImageAnnounced, ImageAvailable}},
		{"every glob", false, []string{"*"}, allTypes},
		{"a malformed glob", false, []string{"["}, nil},
		{"a malformed glob beside a good one", false, []string{"[", "image.failed"}, []Type{ImageFailed}},
		{"vmcatcher's default", true, nil, legacy},
		{"vmcatcher with a family", true, []string{"image.*"}, append([]Type{ImageAnnounced}, legacyImages...)},
		{"vmcatcher with announcements", true, []string{"image.announced"}, []Type{ImageAnnounced}},
		{"vmcatcher with every glob", true, []string{"*"}, append([]Type{ImageAnnounced}, legacy...)},
		{"vmcatcher and types it has no name for", true, []string{"list.*", "image.updated", "image.failed"}, nil},
	} {
		h := Handler{VMCatcher: c.vmcatcher, Events: c.events}
		for _, kind := range append(slices.Clone(allTypes), "image.future") {
			want := slices.Contains(c.want, kind) ||
				kind == "image.future" && !c.vmcatcher && (len(c.events) == 0 || slices.Contains(c.events, "*"))
			if got := h.Wants(kind); got != want {
				t.Errorf("%s: Wants(%s) = %v", c.name, kind, got)
			}
		}
	}
}
