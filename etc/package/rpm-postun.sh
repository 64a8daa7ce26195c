#!/bin/sh
# State, cache and the site's own files are left.
if [ -d /run/systemd/system ]; then
	systemctl daemon-reload || :
	if [ "$1" -ge 1 ]; then
		systemctl try-restart vouch.service || :
	fi
fi
