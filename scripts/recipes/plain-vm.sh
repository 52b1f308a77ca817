#!/bin/sh
# The daemon as a service of a machine with systemd: sh plain-vm.sh envd-linux-x64.tar.gz, as root. `npm run bundle` makes the archive.
set -eu
mkdir -p /opt/envd /etc/systemd/system/envd.service.d
tar --extract --gzip --file "$1" --directory /opt/envd --strip-components 1 --no-same-owner
ln -sfn /opt/envd/envd /usr/bin/envd
cp /opt/envd/service/envd.service /opt/envd/service/envd.slice /etc/systemd/system/
# No platform is near: no metadata service is asked; and as long as no token is set, only this machine may connect.
cat >/etc/systemd/system/envd.service.d/plain.conf <<'END'
[Service]
ExecStart=
ExecStart=/usr/bin/envd -isnotfc -address localhost
END
systemctl daemon-reload
systemctl enable envd
systemctl restart envd
