"""Arrows between the rooms point one way, and nothing light imports anything heavy."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
WITHOUT_TORCH = """
import sys
for name in ("torch", "triton", "numpy"):
    sys.modules[name] = None
import kbd.daemon.running, kbd.daemon.cli.main, kbd.inbox.job_file, kbd.outbox.result, kbd.store.jobs
"""


def test_import_linter_contracts():
    tool = Path(sys.executable).with_name("lint-imports")
    if not tool.exists():
        pytest.skip("import-linter is not installed (extra dev)")
    environment = os.environ | {"PYTHONPATH": str(ROOT / ".typing")}
    found = subprocess.run([tool], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def test_daemon_and_command_line_import_without_torch():
    found = subprocess.run([sys.executable, "-c", WITHOUT_TORCH], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
