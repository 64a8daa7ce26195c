#!/bin/sh
# Says which programs the tests meet, and what is left out without them.
# The tests never pretend: with CI=true a missing program fails them.
missing=
say() { # program, package, what is left out
	if command -v "$1" >/dev/null 2>&1; then return; fi
	echo "skipped without $1: $3"
	missing="$missing $2"
}
say openssl openssl 'lists signed and verified by a second implementation'
say nginx nginx-light 'a real web server as origin'
say curl curl 'the HTTP interface as middleware asks it'
say strace strace 'faults injected into system calls'
say mkfs.xfs xfsprogs 'reflinks on a real file system (as root)'
say ssh-keygen openssh-client 'OpenSSH keys given by mistake; a list published over SSH'
say sshd openssh-server 'a real SSH server to publish to'
say apache2 apache2-bin 'a real WebDAV server to publish to'
say softhsm2-util softhsm2 'signing with a key on a token'
say pkcs11-tool opensc 'signing with a key on a token'
say qemu-img qemu-utils 'disk images in every format, made by QEMU'
say xz xz-utils 'compressed disk images'
say zstd zstd 'compressed disk images'
say bzip2 bzip2 'compressed disk images'
say nats-server nats-server 'a real NATS server as handler'
say rabbitmq-server rabbitmq-server 'a real RabbitMQ as handler'
say python3 python3 'the receiver of webhooks that the README shows'
say systemd-analyze systemd 'the systemd units'
say sqlite3 sqlite3 'the databases of vmcatcher'
say /usr/lib/nagios/plugins/negate monitoring-plugins-basic 'vouch status --nagios, run as a monitoring system does'
say promtool prometheus 'metrics, alerts and the dashboard, checked by Prometheus'
say chromium chromium 'the page in a real browser'
say mandoc mandoc 'the manual'
say lintian lintian 'the packages'
say rpm rpm 'the packages'
say zsh zsh 'completion'
say fish fish 'completion'
say shellcheck shellcheck 'lint of the shell scripts'
if ! ls /usr/lib/*/engines-3/pkcs11.so >/dev/null 2>&1; then
	echo 'skipped without the pkcs11 engine of openssl: signing with a key on a token'
	missing="$missing libengine-pkcs11-openssl"
fi
if [ ! -d /etc/grid-security/certificates ]; then
	echo 'skipped without /etc/grid-security/certificates: the real IGTF trust anchors'
	missing="$missing igtf-policy-classic igtf-policy-mics igtf-policy-slcs igtf-policy-iota"
fi
[ -z "$missing" ] || echo "to have them all: apt-get install --no-install-recommends$missing"
exit 0
