#!/bin/sh
# What a site decided, its evidence and its images are not the package's to
# delete, not even on purge: that says what is left.
set -e

if [ "$1" = remove ] && [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
fi
if [ "$1" = purge ]; then
	if command -v deb-systemd-helper >/dev/null; then
		deb-systemd-helper purge vouch.service vouch-sync.timer >/dev/null || true
	fi
	for dir in /etc/vouch/subscriptions.d /etc/vouch/blocks.d /etc/vouch/credentials /etc/vouch /var/lib/vouch /var/cache/vouch; do
		[ -d "$DPKG_ROOT$dir" ] || continue
		rmdir --ignore-fail-on-non-empty "$DPKG_ROOT$dir"
		[ ! -d "$DPKG_ROOT$dir" ] || echo "vouch: $dir is left as it is; remove it when nobody needs it" >&2
	done
fi
