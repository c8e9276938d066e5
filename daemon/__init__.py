"""The processes: daemon, nursery, judge, runner, and the command line."""
