"""Where evaluations run: processes, channels, devices' workers."""
