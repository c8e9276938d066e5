"""Completion, in real shells where they are installed."""

import os
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
