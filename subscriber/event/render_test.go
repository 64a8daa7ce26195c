package event

import (
	"encoding/json"
	"testing"
	"time"
)

const testState = "0b0e6f4e-3a70-4b2c-9d55-1f1f6f3a9c11"

var testTime = time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)

func mustNew(t *testing.T, number uint64, kind Type, data any) Event {
	t.Helper()
	e, err := New(testState, number, kind, "subject", testTime, data)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestNew_CloudEventsForm(t *testing.T) {
	at := testTime.In(time.FixedZone("CET", 3600))
	e, err := New(testState, 7, ListRejected, "a-list", at, ListData{Subscription: "cernvm", Reason: "signature"})
	if err != nil {
		t.Fatal(err)
	}
	line, err := e.Line()
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"specversion":"1.0","id":"` + testState + `-7","source":"urn:uuid:` + testState + `",` +
		`"type":"list.rejected","subject":"a-list","time":"2026-11-23T18:00:00Z","datacontenttype":"application/json",` +
		`"data":{"subscription":"cernvm","url":"","reason":"signature"}}`
	if string(line) != want {
		t.Errorf("line\n got %s\nwant %s", line, want)
	}
	var back Event
	if err := json.Unmarshal(line, &back); err != nil {
		t.Fatal(err)
	}
	if n, ok := back.Number(); n != 7 || !ok {
		t.Errorf("number after a round trip: %d, %v", n, ok)
	}
}

func TestNew_Refuses(t *testing.T) {
	if _, err := New(testState, 0, SyncStarted, "", testTime, SyncData{}); err == nil {
		t.Error("number 0 is accepted, but Last says 0 for an empty log")
	}
	if _, err := New("", 1, SyncStarted, "", testTime, SyncData{}); err == nil {
		t.Error("an empty state id is accepted")
	}
	if _, err := New(testState, 1, SyncStarted, "", testTime, func() {}); err == nil {
		t.Error("data that is not JSON is accepted")
	}
}

func TestNumber(t *testing.T) {
	for _, c := range []struct {
		id, source string
		want       uint64
	}{
		{"s-1", "urn:uuid:s", 1},
		{"a-b-18446744073709551615", "urn:uuid:a-b", 18446744073709551615},
		{"a-b-18446744073709551616", "urn:uuid:a-b", 0},
		{"s-0", "urn:uuid:s", 0},
		{"s-01", "urn:uuid:s", 0},
		{"s-+1", "urn:uuid:s", 0},
		{"s-", "urn:uuid:s", 0},
		{"s1", "urn:uuid:s", 0},
		{"other-1", "urn:uuid:s", 0},
		{"-1", "urn:uuid:", 0},
		{"", "", 0},
	} {
		n, ok := Event{ID: c.id, Source: c.source}.Number()
		if n != c.want || ok != (c.want != 0) {
			t.Errorf("Number of %q from %q: %d, %v; want %d", c.id, c.source, n, ok, c.want)
		}
	}
}
