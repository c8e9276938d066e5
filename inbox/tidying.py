"""Deleting what nobody needs any more, as far as that can be done."""

import logging
from collections.abc import Iterable
from pathlib import Path

from kbd.inbox.durable import remove

logger = logging.getLogger(__name__)


def remove_leftovers(paths: Iterable[Path]) -> int:
    """Delete what nobody needs any more; returns how many. What cannot be deleted keeps nothing else from it.

    On NFS an open file that is deleted becomes `.nfsXXXX`, which is busy as long as somebody has it open.
    """
    removed = 0
    for path in paths:
        try:
            removed += remove(path)
        except OSError as error:
            logger.warning("%s stays: %s", path, error.strerror, extra={"action": "leftover_stays"})
    return removed
