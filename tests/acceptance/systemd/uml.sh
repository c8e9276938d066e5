#!/bin/bash
# A whole Linux with a systemd as one process of this host: with cgroups of version 2, whatever this host has.
#   ./uml.sh DIR PYTHON SCRIPT     as root; needs linux.uml (on Debian: apt-get install user-mode-linux)
# SCRIPT is run in it as root, once; what it says is printed. The file system is that of this host beneath a layer that
# forgets, but files belong to whoever wants them only in memory: on /tmp, /run and what SCRIPT mounts as tmpfs.
set -euo pipefail
dir=$(realpath -m "${1:?a folder}")
python=${2:?an interpreter}
script=$(realpath "${3:?a script}")
. "$(dirname "$0")/beneath.sh"

lay "$dir"
trap 'lift "$dir"' EXIT
open_way_to "$dir" "$python"
units="$dir/root/etc/systemd/system"
mkdir -p "$units/multi-user.target.wants" "$units/local-fs.target.wants"
cp /usr/share/systemd/tmp.mount "$units"
ln -s ../tmp.mount "$units/local-fs.target.wants/"
cat > "$units/script.service" << END
[Unit]
After=basic.target
SuccessAction=poweroff-force
FailureAction=poweroff-force
[Service]
Type=oneshot
Environment=PATH=$(dirname "$python"):/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
ExecStart=/bin/bash $script
StandardOutput=file:/said
StandardError=inherit
END
ln -s ../script.service "$units/multi-user.target.wants/"
timeout --kill-after=10 500 linux.uml mem=4G rootfstype=hostfs rootflags="$dir/root" rw init=/lib/systemd/systemd \
  systemd.unit=multi-user.target con=null con0=fd:0,fd:1 < /dev/null > "$dir/console" 2>&1 || true
cat "$dir/root/said" || { tail -c 2000 "$dir/console" >&2; exit 1; }
