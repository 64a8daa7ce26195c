#!/bin/sh
if [ "$1" -eq 0 ] && [ -d /run/systemd/system ]; then
	systemctl --no-reload disable --now vouch.service vouch-sync.timer >/dev/null 2>&1 || :
fi
