"""What compilers print when they fail, as the author of the module wants to read it."""

from __future__ import annotations

import re

_ERROR = re.compile(
    r"""^(?P<file>[^\s:(][^:(\n]*)
        (?: :(?P<line>\d+)(?::\d+)?: | \((?P<cuda_line>\d+)\): )
        \s (?:fatal\ |catastrophic\ )? error (?:\ \#[\w-]+)? :\s* (?P<text>.+)$""",
    re.VERBOSE | re.MULTILINE,
)
_LINKER = re.compile(r"(undefined reference to .*|cannot find -l\S+.*|undefined symbol: .*)$", re.MULTILINE)
_MISSING = re.compile(r"fatal error|No such file|cannot open source file|catastrophic error")
_ARGUMENT = re.compile(r"cuda_sources\[\d+\]")
# ninja repeats the command of each step, which says nothing about the source and runs over many lines.
_COMMAND = re.compile(r"^(?:\[\d+/\d+\] |FAILED: |ninja: build stopped)")


def first_error(output: str, module: str) -> str | None:
    """The first error in words: `line 12: …` for the module itself, the file's name before it for others."""
    if match := _ERROR.search(output):
        line = match["line"] or match["cuda_line"]
        where = "" if match["file"] == module else f"{match['file'].rsplit('/', 1)[-1]} "
        return f"{where}line {line}: {match['text'].strip()}"
    if match := _LINKER.search(output):
        return match[1].strip()
    return None


def first_error_in(output: str, module: str, source: str) -> str | None:
    """The first error, if it is in the user's text (`module`, `source`) and follows from no missing header."""
    match = _ERROR.search(output)
    if match is None or _MISSING.search(output):
        return None
    name = match["file"].rsplit("/", 1)[-1]
    return first_error(output, module) if name in (module, source) or _ARGUMENT.fullmatch(name) else None


def without_commands(output: str) -> str:
    """The compilers' own words."""
    kept: list[str] = []
    is_repeated = False
    for line in output.splitlines():
        if is_repeated := is_repeated and _is_command(line):
            continue
        is_repeated = line.startswith("FAILED: ")
        if not _COMMAND.match(line):
            kept.append(line)
    return "\n".join(kept).strip() + "\n"


def _is_command(line: str) -> bool:
    return " -o " in line or line.startswith("/") or " -c " in line
