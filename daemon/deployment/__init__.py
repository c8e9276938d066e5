"""What a host gets so that a daemon lives on it: the unit file of systemd, files written with care."""
