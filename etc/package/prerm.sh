#!/bin/sh
# On upgrade the old daemon works on until the new one takes over.
set -e

if [ "$1" = remove ] && [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	deb-systemd-invoke stop vouch.service vouch-sync.timer vouch-sync.service >/dev/null || true
fi
