package cachetest

import (
	"testing"

	"vouch/cache"
)

// Run holds stores to the contract. open returns a new, empty store that is
// closed when its test ends.
func Run(t *testing.T, open func(t *testing.T) *cache.Store) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, s *cache.Store)
	}{
		{"Ingest", testIngest},
		{"IngestRefuses", testIngestRefuses},
		{"IngestOneAtATime", testIngestOneAtATime},
		{"ResumeAnyCut", testResumeAnyCut},
		{"ResumeRules", testResumeRules},
		{"Publish", testPublish},
		{"Unpublish", testUnpublish},
		{"Retain", testRetain},
		{"Stage", testStage},
		{"Seal", testSeal},
		{"Quarantine", testQuarantine},
		{"CheckPaced", testCheckPaced},
		{"Documents", testDocuments},
		{"Usage", testUsage},
		{"RemovePartials", testRemovePartials},
		{"T22_NamesAreNotPaths", testNames},
		{"T27_StampTellsOfChange", testStamp},
		{"T28_BitRot", testBitRot},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, open(t)) })
	}
}
