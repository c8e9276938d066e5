# The file system of this host beneath a layer in memory that forgets what is written; for the scripts beside this one.

# lay DIR: it is DIR/root then.
lay() {
  mkdir -p "$1"
  mount -t tmpfs kbd-machine "$1"
  mkdir "$1/upper" "$1/work" "$1/root"
  mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" kbd-machine "$1/root"
  rm -rf "$1"/root/etc/systemd/system/*.wants "$1/root/etc/kbd"
}

# open_way_to DIR PYTHON: let everybody in it reach an interpreter, and what a virtual environment is made from.
open_way_to() {
  local end path
  for end in "$2" "$(realpath "$2")"; do
    path=$(dirname "$end")
    while [ "$path" != / ]; do
      chmod a+rx "$1/root$path"
      path=$(dirname "$path")
    done
  done
}

lift() {
  umount "$1/root"
  umount "$1"
}
