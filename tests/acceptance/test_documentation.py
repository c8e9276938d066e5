"""What the documentation says is so: its examples run, its tables and diagrams are those of the code."""

import json
import re
import shlex
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path

import pytest

from kbd.daemon.cli import schema_reference
from kbd.daemon.cli.place import Place
from kbd.daemon.cli.reference import reference
from kbd.daemon.cli.status_report import take_status
from kbd.inbox.spool import Spool
from kbd.outbox.performance import KernelTiming, Performance
from kbd.outbox.result import JobResult
from kbd.outbox.verdict import EvaluationStatus
from kbd.store import states

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted([*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")])
FENCE = re.compile(r'^```(\w*)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)

# Pages whose blocks tell a story that can be followed, and what must come of it.
STORIES = {
    "README.md": ["relu  passed", "✓ relu  passed", '"status": "passed"', "1 completed"],
    "docs/first-job.md": [
        "No jobs yet",
        "scale  incorrect_output",
        "exit code 1",
        "✓ workload one-row",
        "✗ workload many-rows",
        "scale-2  passed",
        "exit code 6",
    ],
    "docs/kernels.md": ["triton-add", "triton-module", "mixed", "cuda-sum", "unsupported", "4 completed"],
    "docs/adding-a-backend.md": ["numpy", "available  (plug-in kbd_numpy:BACKEND)", "clip  passed"],
    "docs/client.md": [
        "return x.clamp(min=0): passed, speed-up ",
        "return x * (x > 0): passed, speed-up ",
        "return x: incorrect_output, speed-up None",
    ],
    "CONTRIBUTING.md": [],
}


@dataclass
class Block:
    language: str
    title: str | None
    text: str


def blocks_of(page):
    return [Block(language, title or None, text) for language, title, text in FENCE.findall(page.read_text())]


def name_of(page):
    return str(page.relative_to(REPOSITORY))


def script_of(blocks):
    """One shell script that does what a reader of the page would do, in the reader's order."""
    lines = ["set -euo pipefail", "mkdir -p docs .venv/bin", "touch .venv/bin/activate", "daemon="]
    lines.append("trap 'if [ -n \"$daemon\" ]; then kill $daemon; wait $daemon; fi' EXIT")
    for block in blocks:
        if block.language == "bash":
            lines.extend(map(as_followed, block.text.splitlines()))
        elif block.title and block.language in ("yaml", "python"):
            lines.extend(
                [f"cat > {shlex.quote(block.title)} <<'END_OF_FILE'", block.text.rstrip("\n"), "END_OF_FILE"]
            )
    return "\n".join(lines) + "\n"


def as_followed(line):
    """Long ones in the background, set-up not at all: that its target exists is enough here."""
    if line.strip() == "kbd run":
        return (
            "kbd run --device cpu > daemon-output 2>&1 & daemon=$!\n"
            "until kbd status 2>&1 | grep -q 'running (pid'; do kill -0 $daemon; sleep 0.5; done"
        )
    if line.startswith("make "):
        return f"make -C {shlex.quote(str(REPOSITORY))} --dry-run {line.removeprefix('make ')} > /dev/null"
    return line


@pytest.mark.parametrize("page", STORIES)
def test_a_reader_can_follow(page, user):
    script = user.writes("story.sh", script_of(blocks_of(REPOSITORY / page)))
    said = user.types("bash", script)
    for words in STORIES[page]:
        assert words in said.stdout, said.stdout + said.stderr


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_checked_by_something(page):
    for block in blocks_of(page):
        assert block.language in ("bash", "yaml", "python", "json", "text"), block
        if block.language == "bash":
            assert name_of(page) in STORIES
        if block.language in ("yaml", "python"):
            assert block.title is not None
            assert name_of(page) in STORIES
        if block.language == "json":
            assert block.title in ("excerpt", "status")


def test_pages_have_blocks_at_all():
    assert sum(len(blocks_of(page)) for page in PAGES) > 15, "the pattern finds no blocks any more"


def json_blocks(title):
    return [json.loads(block.text) for page in PAGES for block in blocks_of(page) if block.title == title]


def test_excerpts_name_fields_that_exist():
    excerpts = json_blocks("excerpt")
    assert len(excerpts) == 2
    for excerpt in excerpts:
        model = Performance if "method" in excerpt else JobResult
        assert set(excerpt) <= set(model.model_fields)
    performance = next(excerpt for excerpt in excerpts if "method" in excerpt)
    Performance.model_validate_json(json.dumps(performance))
    KernelTiming.model_validate_json(json.dumps(performance["candidate"]))


def test_the_status_document_is_as_described(tmp_path):
    (described,) = json_blocks("status")
    Spool.create(tmp_path / "spool")
    real = take_status(Place(tmp_path / "spool", tmp_path, spool_named=True), (), limit=1).as_document()
    assert list(described) == list(real)
    assert list(described["daemon"]) == list(real["daemon"])
    assert list(described["counts"]) == list(real["counts"])


def test_every_verdict_is_explained():
    text = (REPOSITORY / "docs" / "results.md").read_text().split("<!-- statuses -->", 1)[1]
    assert re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE) == [status.value for status in EvaluationStatus]


def test_the_command_reference_is_that_of_the_commands():
    told = (REPOSITORY / "docs" / "cli.md").read_text()
    assert told == reference(), "run: python -m kbd.daemon.cli.reference > docs/cli.md"


@pytest.mark.parametrize("what", schema_reference.TITLES)
def test_the_references_are_those_of_the_models(what):
    told = (REPOSITORY / "docs" / f"{what}-reference.md").read_text()
    command = f"python -m kbd.daemon.cli.schema_reference {what} > docs/{what}-reference.md"
    assert told == schema_reference.page(what), f"run: {command}"


def test_every_field_that_people_write_or_branch_on_is_explained():
    result = schema_reference.page("result").split("## EvaluationStatus", 1)[0]
    rows = [line for page in (schema_reference.page("job"), result) for line in page.splitlines()]
    fields = [line for line in rows if line.startswith("| `")]
    assert len(fields) > 60
    assert [line for line in fields if line.endswith("|  |")] == []


def test_the_state_diagram_is_that_of_the_code():
    diagram = FENCE.search((getdoc(states) or "").replace("```\n", "```text\n", 1))
    assert diagram is not None
    drawn = [block.text for block in blocks_of(REPOSITORY / "ARCHITECTURE.md")]
    assert diagram.group(3) in drawn


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", FENCE.sub("", page.read_text())):
        if not target.startswith(("http://", "https://")):
            assert (page.parent / target).exists(), target
