"""`kbd demo`, as `make demo` runs it."""

import re

import psutil


def neutral(text, user):
    """From the table on, without figures: what they are differs from run to run."""
    text = text[text.index("job ") :].replace(str(user.home), "/home/user")
    text = re.sub(r"\d+(\.\d+)?x", "N.NNx", text)
    text = re.sub(r"worst at \[.*", "worst at […", text)
    text = re.sub(r"\d+\.\d+ s", "N.N s", text)
    text = re.sub(r"^faster +slower this time.*\n", "", text, flags=re.MULTILINE)  # on a busy host
    return re.sub(r"(?<=\S) {2,}(?=\S)", "  ", re.sub(r" +$", "", text, flags=re.MULTILINE))


def test_the_demonstration(user, same_as_golden):
    ended = user.kbd("demo", "--device", "cpu", "--spool", user.home / "demo")
    out = ended.stdout
    same_as_golden(neutral(out, user), "demo.txt")
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
