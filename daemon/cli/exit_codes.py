"""What the number means that `kbd` ends with. Scripts rely on these; none ever changes its meaning."""

from enum import IntEnum


class ExitCode(IntEnum):
    """One meaning each; the first seven are for scripts to branch on."""

    OK = 0
    NOT_PASSED = 1
    """A job that was waited for did not pass (or, from `kbd run`, the daemon could not run)."""
    USAGE = 2
    NOT_FOUND = 3
    NO_DAEMON = 4
    TIMEOUT = 5
    REJECTED = 6
    INTERNAL = 70
    """A defect of kbd (sysexits.h: EX_SOFTWARE)."""
    UNUSABLE = 74
    """A file, a folder or the database cannot be used just now (sysexits.h: EX_IOERR)."""
    INTERRUPTED = 130
    """Ctrl-C, as shells report it."""
