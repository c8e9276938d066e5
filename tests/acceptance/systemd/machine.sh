#!/bin/bash
# A real systemd in a container, with the file system of this host beneath a layer that forgets what is written.
#   ./machine.sh start DIR PYTHON      as root; needs systemd-nspawn (on Debian: apt-get install systemd-container dbus)
#   ./machine.sh run DIR COMMAND...    in the container
#   ./machine.sh stop DIR
# No unit of this host is started in it, it has no network, and the interpreter PYTHON can be reached by everybody.
set -euo pipefail
action=${1:?start, run or stop}
dir=$(realpath -m "${2:?a folder}")
shift 2
. "$(dirname "$0")/beneath.sh"

leader() { pgrep --parent "$(cat "$dir/nspawn.pid")"; }

run() { nsenter --target "$(leader)" --all -- "$@"; }

start() {
  lay "$dir"
  open_way_to "$dir" "$1"
  # Landlock is not among the system calls that nspawn lets through by itself.
  SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 systemd-nspawn --directory="$dir/root" --register=no --keep-unit --private-network \
    --system-call-filter="landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
    --boot systemd.unit=multi-user.target < /dev/null > "$dir/console" 2>&1 &
  echo $! > "$dir/nspawn.pid"
  for _ in $(seq 300); do
    if run systemctl is-system-running --wait > /dev/null 2>&1; then return; fi
    sleep 0.2
  done
  tail -n 20 "$dir/console" >&2
  stop
  return 1
}

stop() {
  kill "$(cat "$dir/nspawn.pid")" 2> /dev/null || true
  for _ in $(seq 300); do
    kill -0 "$(cat "$dir/nspawn.pid")" 2> /dev/null || break
    sleep 0.2
  done
  lift "$dir"
  # What nspawn leaves where no systemd of the host looks after it; groups that hold a process stay.
  find /sys/fs/cgroup/{payload,supervisor} /sys/fs/cgroup/*/{payload,supervisor} -depth -type d -exec rmdir {} + \
    2> /dev/null || true
}

"$action" "$@"
