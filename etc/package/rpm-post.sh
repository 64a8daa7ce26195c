#!/bin/sh
# Which services start is for the distribution's presets to say.
systemd-sysusers vouch.conf || :
systemd-tmpfiles --create vouch.conf || :
if [ "$1" -eq 1 ] && command -v systemctl >/dev/null; then
	systemctl --no-reload preset vouch.service vouch-sync.timer >/dev/null 2>&1 || :
fi
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
fi
