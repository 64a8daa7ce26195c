#!/bin/sh
# Debian starts what it installs. With no subscription the daemon does nothing
# but answer on the loopback interface. To have none, disable it:
# systemctl disable --now vouch; that outlasts upgrades.
set -e

case $1 in
configure | abort-upgrade | abort-deconfigure | abort-remove) ;;
*) exit 0 ;;
esac

systemd-sysusers ${DPKG_ROOT:+--root="$DPKG_ROOT"} vouch.conf
systemd-tmpfiles ${DPKG_ROOT:+--root="$DPKG_ROOT"} --create vouch.conf || true

deb-systemd-helper unmask vouch.service >/dev/null || true
if deb-systemd-helper --quiet was-enabled vouch.service; then
	deb-systemd-helper enable vouch.service >/dev/null || true
else
	deb-systemd-helper update-state vouch.service >/dev/null || true
fi
if [ -z "$DPKG_ROOT" ] && [ -d /run/systemd/system ]; then
	systemctl --system daemon-reload >/dev/null || true
	action=start
	[ -z "$2" ] || action=restart
	deb-systemd-invoke "$action" vouch.service >/dev/null || true
fi
