"""`kbd demo`, as `make demo` runs it."""

import psutil


def test_the_demonstration(user):
    ended = user.kbd("demo", "--device", "cpu", "--spool", user.home / "demo")
    out = ended.stdout
    rows = {line.split()[0]: line for line in out.splitlines() if "✓" in line or "✗" in line}
    assert set(rows) == {"faster", "slower", "wrong", "crash", "hang"}
    assert "killed by SIGSEGV" in out
    assert "All five verdicts are right" in out
    results = sorted(path.name for path in (user.home / "demo" / "outbox").glob("*.json"))
    assert results == ["crash.json", "faster.json", "hang.json", "slower.json", "wrong.json"]
    assert not (user.spool).exists(), "the user's own spool is left alone"
    left = [
        process
        for process in psutil.process_iter(["cmdline"])
        if str(user.home) in str(process.info["cmdline"])
    ]
    assert left == []
    assert "incorrect output" in user.kbd("show", "--spool", user.home / "demo", "wrong").stdout
