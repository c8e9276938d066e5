"""The other end of quick_daemon.py: has daemons forked, and strace attached to them."""

import functools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

LIMIT_S = 120
_PROGRAM = Path(__file__).parent / "quick_daemon.py"


class NoTracing(Exception):
    """This host lets nobody trace; the text is strace's own."""


class QuickDaemons:
    """Forks quick daemons, and has strace attach itself to them."""

    def __init__(self):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen([sys.executable, str(_PROGRAM)], **pipes)

    def _say(self, word):
        print(word, file=self._process.stdin, flush=True)

    def run(self, ground, tracing=()):
        output = ground.root / "output"
        output.write_text("")
        self._say(json.dumps([str(ground.spool.root), str(ground.state), str(output), bool(tracing)]))
        pid = int(self._process.stdout.readline())
        ended = threading.Timer(LIMIT_S, os.kill, (pid, signal.SIGKILL))
        ended.start()
        tracer = self._attach(pid, tracing) if tracing else None
        code = int(self._process.stdout.readline())
        ended.cancel()
        if tracer is not None:
            tracer.communicate()
        return code, output.read_text(errors="replace")

    def _attach(self, pid, tracing):
        tracer = subprocess.Popen(
            ["strace", "-f", "-qq", *tracing, "-p", str(pid)], stderr=subprocess.PIPE, text=True
        )
        status = Path(f"/proc/{pid}/status")
        while "TracerPid:\t0\n" in status.read_text():
            if tracer.poll() is not None:
                self._say("go")
                self._process.stdout.readline()
                raise NoTracing(tracer.stderr.read().strip())
            time.sleep(0.01)
        self._say("go")
        return tracer

    def end(self):
        """No further daemon will be asked for."""
        self._process.communicate()
        quick_daemons.cache_clear()


@functools.cache
def quick_daemons():
    return QuickDaemons()
