"""The daemon's log: one JSON object a line in its file, the same readable on stderr.

Every record in the file has an `action`, and `job` where it is about one; tests and people search by those, not by
prose. On stderr, where the prose stands beside it, the action is left out, and times are told to the second.
"""

from __future__ import annotations

import logging
import logging.handlers
import sys
from pathlib import Path

import structlog

from kbd.daemon.cli.printable import printable

FILE_BYTES = 16 << 20
FILES_KEPT = 3
EVENT_COLUMNS = 20
SHARED = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_log_level,
    structlog.stdlib.ExtraAdder(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
)


def configure(folder: Path, *, console: bool = True) -> None:
    """Send every record of this process to `folder/daemon.log`, and to stderr if a person may be reading."""
    folder.mkdir(parents=True, exist_ok=True)
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    root = logging.getLogger()
    root.setLevel(logging.INFO)
    root.handlers = [_file(folder / "daemon.log"), *([_console()] if console else [])]
    logging.getLogger("alembic").setLevel(logging.WARNING)


def _file(path: Path) -> logging.Handler:
    """Turns itself over: no logrotate is needed."""
    handler = logging.handlers.RotatingFileHandler(path, maxBytes=FILE_BYTES, backupCount=FILES_KEPT)
    handler.setFormatter(_formatter(structlog.processors.JSONRenderer()))
    return handler


def _console() -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    renderer = structlog.dev.ConsoleRenderer(EVENT_COLUMNS, colors=sys.stderr.isatty())
    handler.setFormatter(_formatter(_for_people, renderer))
    return handler


def _for_people(
    logger: object, method: str, record: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Records quote what users wrote; a terminal must not obey it."""
    del logger, method
    record.pop("action", None)
    record["timestamp"] = record["timestamp"].partition(".")[0] + "Z"
    return {name: printable(value) if isinstance(value, str) else value for name, value in record.items()}


def _formatter(*renderers: structlog.typing.Processor) -> logging.Formatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=SHARED,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
    )
