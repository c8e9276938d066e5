"""The commands of `kbd`, one a file; each is called `command` there."""
