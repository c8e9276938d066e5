"""The command line: `kbd` and its commands, each in a file of `commands/`."""
