package event

import (
	"encoding/json"
	"fmt"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// legacyType is one of vmcatcher's event types: what an old handler sees in
// VMCATCHER_EVENT_TYPE, and which group of variables goes with it.
type legacyType struct {
	name  string
	group group
}

// group is a set of columns in the table of variables (contract §6).
type group uint8

const (
	process group = 1 << iota
	available
	expire
	announced
)

var (
	processPrefix    = legacyType{"ProcessPrefix", process}
	processPostfix   = legacyType{"ProcessPostfix", process}
	imageNew         = legacyType{"SubscriptionImageNew", announced}
	availablePrefix  = legacyType{"AvailablePrefix", available}
	availablePostfix = legacyType{"AvailablePostfix", available}
	expirePrefix     = legacyType{"ExpirePrefix", expire}
	expirePostfix    = legacyType{"ExpirePostfix", expire}
)

// legacyStep says which of vmcatcher's types tell an event: before announces
// the change and may be missing, after is the durable call.
type legacyStep struct {
	before *legacyType
	after  legacyType
}

// legacySteps maps every event type that has a vmcatcher name. The others
// are never told to a vmcatcher handler.
var legacySteps = map[Type]legacyStep{
	SyncStarted:     {after: processPrefix},
	SyncFinished:    {after: processPostfix},
	ImageAnnounced:  {after: imageNew},
	ImageAvailable:  {&availablePrefix, availablePostfix},
	ImageSuperseded: {&expirePrefix, expirePostfix},
	ImageExpired:    {&expirePrefix, expirePostfix},
	ImageRevoked:    {&expirePrefix, expirePostfix},
	ImageBlocked:    {&expirePrefix, expirePostfix},
	ImageDeselected: {&expirePrefix, expirePostfix},
	ImageCorrupt:    {&expirePrefix, expirePostfix},
}

// legacyVariables is the table of contract §6, row by row.
var legacyVariables = []struct {
	name  string
	in    group
	value func(call) string
}{
	{"VMCATCHER_EVENT_TYPE", process | available | expire | announced, func(c call) string { return c.legacy.name }},
	{"VMCATCHER_EVENT_UUID_SESSION", process | available | expire | announced, func(c call) string { return c.place.Session }},
	// The trailing slashes are for an old handler that concatenates.
	{"VMCATCHER_CACHE_DIR_CACHE", process | available | expire, func(c call) string { return c.place.CacheDir + "/endorsed/" }},
	{"VMCATCHER_CACHE_DIR_DOWNLOAD", process | available | expire, func(c call) string { return c.place.CacheDir + "/partial/" }},
	{"VMCATCHER_CACHE_DIR_EXPIRE", process | available | expire, func(c call) string { return c.place.CacheDir + "/expired/" }},
	{"VMCATCHER_RDBMS", process | available | expire, func(c call) string { return "vouch:" + c.place.StateDir }},
	{"VMCATCHER_EVENT_DC_IDENTIFIER", available | expire | announced, func(c call) string { return c.image.Identifier }},
	{"VMCATCHER_EVENT_DC_TITLE", available | expire | announced, func(c call) string { return c.image.Title }},
	{"VMCATCHER_EVENT_DC_DESCRIPTION", available | expire | announced, func(c call) string { return c.image.Description }},
	{"VMCATCHER_EVENT_HV_HYPERVISOR", available | expire | announced, func(c call) string { return c.image.Hypervisor }},
	{"VMCATCHER_EVENT_HV_SIZE", available | expire | announced, func(c call) string { return strconv.FormatInt(c.image.Size, 10) }},
	{"VMCATCHER_EVENT_HV_URI", available | expire | announced, func(c call) string { return c.image.URI }},
	{"VMCATCHER_EVENT_HV_VERSION", available | expire | announced, func(c call) string { return c.image.Version }},
	{"VMCATCHER_EVENT_SL_ARCH", available | expire | announced, func(c call) string { return c.image.Arch }},
	{"VMCATCHER_EVENT_SL_CHECKSUM_SHA512", available | expire | announced, func(c call) string { return c.image.SHA512 }},
	{"VMCATCHER_EVENT_SL_COMMENTS", available | expire | announced, func(c call) string { return metadataText(c.image.Metadata, "sl:comments") }},
	{"VMCATCHER_EVENT_SL_OS", available | expire | announced, func(c call) string { return c.image.OS }},
	{"VMCATCHER_EVENT_SL_OSVERSION", available | expire | announced, func(c call) string { return c.image.OSVersion }},
	{"VMCATCHER_EVENT_HV_FORMAT", available | expire, func(c call) string { return c.image.Format }},
	{"VMCATCHER_EVENT_AD_MPURI", available | expire, func(c call) string { return c.image.MPURI }},
	{"VMCATCHER_EVENT_FILENAME", available | expire, call.fileName},
	{"VMCATCHER_EVENT_IL_DC_IDENTIFIER", available | expire, func(c call) string { return c.image.List }},
	{"VMCATCHER_EVENT_VO", available | expire, func(c call) string { return c.image.VO }},
}

// setLegacy adds vmcatcher's variables. Old handlers make paths of the
// identifier: one that is not a file name (contract §3) never reaches them.
func (c call) setLegacy(env environment) error {
	if c.legacy.group != process && !identifier.MatchString(c.image.Identifier) {
		return fmt.Errorf("identifier %q is not a file name", c.image.Identifier)
	}
	for _, v := range legacyVariables {
		if v.in&c.legacy.group != 0 {
			env.setText(v.name, v.value(c))
		}
	}
	return nil
}

var identifier = regexp.MustCompile(`\A[A-Za-z0-9][A-Za-z0-9._-]{0,127}\z`)

// fileName is the file's name in the directory that its type speaks of. In
// ExpirePostfix that is expired/, so it carries the withdrawal's timestamp,
// also for a corrupt image, of which nothing is kept.
func (c call) fileName() string {
	switch {
	case c.legacy != expirePostfix:
		return c.image.Identifier
	case c.image.Kept == "":
		return c.image.Identifier + c.event.Time.UTC().Format(".2006-01-02_15-04-05")
	default:
		return path.Base(c.image.Kept)
	}
}

// metadataText is one value of a signed hv:image object: the text of a
// string, a number as it is written, "" for anything else.
func metadataText(object json.RawMessage, key string) string {
	var fields map[string]json.RawMessage
	if json.Unmarshal(object, &fields) != nil {
		return ""
	}
	var value any
	dec := json.NewDecoder(strings.NewReader(string(fields[key])))
	dec.UseNumber()
	if dec.Decode(&value) != nil {
		return ""
	}
	switch value := value.(type) {
	case string:
		return value
	case json.Number:
		return value.String()
	}
	return ""
}
