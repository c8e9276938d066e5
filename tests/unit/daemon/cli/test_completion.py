"""Completion, in real shells where they are installed."""

import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[4]
# What each shell does when somebody types these words and presses Tab.
SHELLS = {
    "bash": """
        source "$SCRIPT"
        COMP_WORDS=({words}) COMP_CWORD={last} COMP_LINE="{words}"
        _kbd_completion kbd
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """,
    "zsh": """
        function compdef {{ }}
        function compadd {{ while [[ "$1" == -* ]]; do shift; done; print -l -- "${{(@P)1:-$@}}" }}
        function _describe {{ print -l -- "${{(@P)3}}" }}
        source "$SCRIPT"
        words=({words}) CURRENT=$(({last} + 1))
        _kbd_completion
    """,
    "fish": 'source "$SCRIPT"; complete --do-complete "{words}"',
}


@pytest.fixture
def tab(place, tmp_path, kbd):
    """Words that a shell offers."""
    command = tmp_path / "bin" / "kbd"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m kbd.daemon.cli.main "$@"\n')
    command.chmod(0o755)

    def press(shell, *words):
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        script = tmp_path / f"completion.{shell}"
        script.write_text(kbd("completion", shell).out)
        program = SHELLS[shell].format(words=" ".join(words), last=len(words) - 1)
        ended = subprocess.run(
            [shell, "-c", program],
            capture_output=True,
            text=True,
            cwd=REPOSITORY,
            env=os.environ
            | {
                "PATH": f"{command.parent}:{os.environ['PATH']}",
                "SCRIPT": str(script),
                "HOME": str(tmp_path),
            },
        )
        assert ended.stderr == ""
        return [
            line.split("\t")[0].split(":")[0].strip() for line in ended.stdout.splitlines() if line.strip()
        ]

    return press


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(tab, shell):
    assert tab(shell, "kbd", "canc") == ["cancel"]
    assert set(tab(shell, "kbd", "config", "s")) == {"show"}


@pytest.mark.parametrize("shell", SHELLS)
def test_ids_are_completed(tab, shell, has_queued):
    has_queued("softmax-1")
    has_queued("softmax-2")
    has_queued("relu")
    assert set(tab(shell, "kbd", "show", "soft")) == {"softmax-1", "softmax-2"}


@pytest.fixture
def offered(monkeypatch, capsys, place):
    """What `kbd` itself answers a shell, without one."""
    monkeypatch.setenv("_KBD_COMPLETE", "bash_complete")
    monkeypatch.setenv("KBD_SPOOL", str(place.spool_root))
    monkeypatch.setenv("KBD_STATE", str(place.state))

    def ask(*words):
        from kbd.daemon.cli.main import main

        monkeypatch.setenv("COMP_WORDS", " ".join(words))
        monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
        with pytest.raises(SystemExit):
            main([])
        captured = capsys.readouterr()
        assert captured.err == ""
        return {line.split(",", 1)[1] for line in captured.out.splitlines() if line}

    return ask


def test_each_command_offers_what_it_can_use(offered, spool, has_queued, has_remembered, make_result):
    has_queued("job-a")
    has_remembered(make_result("job-b"))
    (spool.inbox / "job-c.yaml").touch()
    assert offered("kbd", "cancel", "job") == {"job-a", "job-c"}
    assert offered("kbd", "retry", "job") == {"job-b"}
    for command in ("show", "logs", "wait", "status"):
        assert offered("kbd", command, "job") == {"job-a", "job-b", "job-c"}
    assert offered("kbd", "cancel", "job-a", "job") == {"job-c"}


def test_the_place_on_the_line_counts(offered, tmp_path, has_queued):
    has_queued("job-a")
    elsewhere = str(tmp_path / "elsewhere")
    assert offered("kbd", "show", "--spool", elsewhere, "--state", elsewhere, "job") == set()


def test_whatever_is_wrong_stays_off_the_line(offered, place):
    (place.state / "kbd.db").write_text("no database")
    place.spool_root.rename(place.spool_root.with_name("gone"))
    assert offered("kbd", "show", "job") == set()


def test_a_shell_that_nobody_knows(kbd):
    assert kbd("completion", "tcsh").code == 2


INTERACTIVE = {
    "bash": (["bash", "--norc", "--noprofile", "-i"], 'source "$SCRIPT"'),
    "zsh": (["zsh", "-f", "-i"], 'autoload -U compinit && compinit -u -D && source "$SCRIPT"'),
}
PROGRAM = """\
#!/bin/sh
[ -n "$_KBD_COMPLETE" ] && exec {python} -m kbd.daemon.cli.main "$@"
echo "typed:$*"
"""


@pytest.fixture
def typed(tmp_path, place, kbd):
    """What a shell on a terminal makes of lines with Tabs in them: a `kbd` that prints its arguments tells."""
    command = tmp_path / "bin" / "kbd"
    command.parent.mkdir()
    command.write_text(PROGRAM.format(python=sys.executable))
    command.chmod(0o755)

    def type_in(shell, *lines):
        if shutil.which(shell) is None:
            pytest.skip(f"{shell} is not installed")
        script = tmp_path / f"completion.{shell}"
        script.write_text(kbd("completion", shell).out)
        arguments, set_up = INTERACTIVE[shell]
        folders = {
            "PATH": f"{command.parent}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "SCRIPT": str(script),
        }
        return _on_a_terminal(
            arguments, [set_up, *lines, "exit"], tmp_path, os.environ | folders | {"TERM": "xterm"}
        )

    return type_in


def _on_a_terminal(arguments, lines, folder, environment):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        arguments,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=folder,
        env=environment,
    )
    os.close(theirs)
    os.write(ours, "".join(f"{line}\n" for line in lines).encode())
    said = b""
    try:
        while chunk := os.read(ours, 65536):
            said += chunk
    except OSError:  # how a terminal ends
        pass
    os.close(ours)
    process.wait()
    return [line.removeprefix("typed:") for line in said.decode().splitlines() if line.startswith("typed:")]


@pytest.mark.parametrize("shell", INTERACTIVE)
def test_as_somebody_types(typed, shell, has_queued, job_file):
    has_queued("softmax-v2")
    job_file("relu.yaml")
    lines = {
        "kbd valid\t": "validate",
        "kbd status --js\t": "status --json",
        "kbd cancel soft\t": "cancel softmax-v2",
        "kbd submit re\t": "submit relu.yaml",
    }
    assert typed(shell, *lines) == list(lines.values())


def test_completing_a_command_imports_none():
    environment = {"_KBD_COMPLETE": "bash_complete", "COMP_WORDS": "kbd st", "COMP_CWORD": "1"}
    program = """
import sys
from kbd.daemon.cli.main import main
try:
    main([])
except SystemExit:
    print(*sys.modules)
"""
    ended = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | environment,
        check=True,
    )
    *offered, modules = ended.stdout.splitlines()
    assert offered == ["plain,status", "plain,stats"]
    assert not [
        name for name in modules.split() if name.startswith(("kbd.daemon.cli.commands", "rich", "pydantic"))
    ]
