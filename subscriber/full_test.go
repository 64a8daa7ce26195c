package subscriber

import (
	"errors"
	"fmt"
	"testing"

	"vouch/cache"
)

// T-24: a cache without room for its index is storage that cannot work, and no
// bug of vouch's; other errors stay what they are.
func TestT24_FullCache(t *testing.T) {
	err := full(fmt.Errorf("index: %w", fmt.Errorf("cache: index.json: %w", cache.ErrNoSpace)))
	if !errors.Is(err, ErrStorage) || !errors.Is(err, cache.ErrNoSpace) || Hint(err) == "" {
		t.Errorf("%v", err)
	}
	if err := full(errors.New("other")); errors.Is(err, ErrStorage) {
		t.Error(err)
	}
}
