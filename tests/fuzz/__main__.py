"""Fuzz for a while: `python -m tests.fuzz --seconds 600 [TARGET …]`, all targets in equal parts by default.

Guided by coverage where atheris (libFuzzer) is installed, `pip install atheris`; else hypothesis draws at random.
Each target has a process of its own. What is found is printed once for each place, with the input in a file; the
exit code is 1 then.
"""

import argparse
import contextlib
import re
import resource
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

MEMORY_BYTES = 24 << 30
"""Address space: torch alone takes some, a fuzzer that is led to allocate all that it is told takes more."""

_DONE = re.compile(r"Done (\d+) runs in (\d+) second")


class Findings:
    """What was raised, once for each place."""

    def __init__(self, name, folder):
        self._name, self._folder = name, Path(folder)
        self.seen = set()

    @contextlib.contextmanager
    def collected(self, data):
        """Runs go on after a finding."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - anything that is no refusal is a finding
            frames = traceback.extract_tb(error.__traceback__)
            place = (type(error).__name__, frames[-1].filename, frames[-1].lineno)
            if place in self.seen:
                return
            self.seen.add(place)
            path = self._folder / f"{self._name}-{len(self.seen)}"
            path.write_bytes(data)
            print(
                f"FINDING {self._name}: {path}\n{''.join(traceback.format_exception(error))[-4000:]}",
                flush=True,
            )


def fuzz_one(name, seconds, folder):
    """One target, in this process, which ends with it."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    try:
        import atheris
    except ImportError:
        return _draw(name, seconds, folder)
    with atheris.instrument_imports(include=["kbd.inbox", "kbd.outbox", "kbd.daemon"]):
        from tests.fuzz.targets import TARGETS
    findings, target = Findings(name, folder), TARGETS[name]
    run = target.check if target.seeds else _by_hypothesis(target)

    def one(data):
        with findings.collected(data):
            run(data)

    corpus = Path(folder) / f"corpus-{name}"
    corpus.mkdir(exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    flags = [
        f"-max_total_time={seconds}",
        "-timeout=60",
        "-rss_limit_mb=6000",
        "-max_len=20000",
        "-verbosity=1",
    ]
    atheris.Setup([sys.argv[0], str(corpus), f"-artifact_prefix={folder}/", *flags], one)
    atheris.Fuzz()
    return 0


def _by_hypothesis(target):
    """libFuzzer's bytes decide what the strategy draws."""
    from hypothesis import HealthCheck, given, settings

    quiet = settings(suppress_health_check=list(HealthCheck), database=None, deadline=None)
    return quiet(given(target.inputs)(target.check)).hypothesis.fuzz_one_input


def _draw(name, seconds, folder):
    from hypothesis import HealthCheck, given, settings

    from tests.fuzz.targets import TARGETS

    findings, target, runs = Findings(name, folder), TARGETS[name], 0
    started = time.monotonic()

    def one(value):
        nonlocal runs
        runs += 1
        with findings.collected(value if isinstance(value, bytes) else repr(value).encode()):
            target.check(value)

    while time.monotonic() - started < seconds:
        settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck), database=None)(
            given(target.inputs)(one)
        )()
    print(f"Done {runs} runs in {int(time.monotonic() - started)} second(s)", file=sys.stderr)
    return 0


def fuzz_all(names, seconds, folder):
    """Each target for its part of the time; prints the figures."""
    found = 0
    for name in names:
        command = [
            sys.executable,
            "-m",
            "tests.fuzz",
            name,
            "--alone",
            "--seconds",
            str(seconds),
            "--folder",
            folder,
        ]
        ended = subprocess.run(command, capture_output=True, text=True, errors="replace", check=False)
        findings = ended.stdout.count("FINDING")
        done = _DONE.search(ended.stderr)
        runs, took = map(int, done.groups()) if done else (0, 0)
        print(f"{name:26} {runs:9} inputs {runs / max(took, 1):9.1f} /s {findings:3} findings", flush=True)
        if findings or done is None:
            found += findings or 1
            print(ended.stdout[-6000:], "" if done else ended.stderr[-3000:])
    return 1 if found else 0


def main():
    """See the docstring of the module."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--folder", default=None, help="where findings and the corpus stay")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    told = parser.parse_args()
    folder = told.folder or tempfile.mkdtemp(prefix="kbd-fuzz-")
    if told.alone:
        return fuzz_one(told.targets[0], told.seconds, folder)
    from tests.fuzz.targets import TARGETS

    names = told.targets or list(TARGETS)
    print(f"findings and corpus: {folder}", flush=True)
    return fuzz_all(names, max(1, told.seconds // len(names)), folder)


if __name__ == "__main__":
    sys.exit(main())
