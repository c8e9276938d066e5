"""`kbd report`: one file, nothing from elsewhere, and nothing in it that a user could make a browser obey."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from kbd.daemon.cli.exit_codes import ExitCode
from kbd.daemon.cli.report.history import charts
from kbd.daemon.cli.report.page import Heading, render
from kbd.daemon.cli.report.reported_jobs import DamagedResult, Reported, ReportedJob
from kbd.outbox.circumstances import DeviceReport, EnvironmentReport
from kbd.outbox.report import ErrorReport, Suspicion
from kbd.outbox.verdict import EvaluationStatus

HEADING = Heading("Kernel report", "/spool", "the latest jobs", 1_750_000_000.0, "0.1.0")
EVIL = (
    "<script>alert(1)</script><img src=//evil.example/x onerror=alert(1)>\"'><svg onload=x>"
    "{{ 7 * 7 }}\x1b[2J\u202e</style></title>"
)
VOID = {"meta", "link", "input", "line", "rect", "circle", "path", "br", "img", "wbr"}


class Page(HTMLParser):
    """What a browser would make of it: elements, attributes, texts; tags that do not match are an error."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.texts = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def reported(result, *, at=1_750_000_000.0, owner="", manifest=None):
    return ReportedJob(result, at, owner, manifest)


@pytest.fixture
def hostile(make_result, make_failure):
    """Jobs every text of which wants to be a script."""
    workload = make_result().workloads[0]
    output = workload.correctness.outputs[0].model_copy(update={"name": EVIL, "problem": EVIL})
    correctness = workload.correctness.model_copy(update={"outputs": (output,)})
    performance = workload.performance.model_copy(update={"method_reason": EVIL, "stop": EVIL})
    evil = workload.model_copy(
        update={"name": EVIL, "axes": {EVIL: 3}, "correctness": correctness, "performance": performance}
    )
    device = DeviceReport(kind="cpu", name=EVIL, arch=EVIL, driver=EVIL)
    environment = EnvironmentReport(host=EVIL, kbd=EVIL, python=EVIL, torch=EVIL)
    labels = {EVIL: EVIL, "kernel": EVIL}
    passed = [
        make_result(
            f"passed{number}",
            workloads=(evil,),
            device=device,
            environment=environment,
            labels=labels,
            notes=(EVIL,),
        )
        for number in range(2)
    ]
    error = ErrorReport(type=EVIL, message=EVIL, hint=EVIL, traceback_tail=EVIL)
    crashed = make_failure(EvaluationStatus.CRASHED, "crashed", error=error, weak_test=(EVIL,), labels=labels)
    suspect = make_failure(
        EvaluationStatus.SUSPECT, "suspect", error=None, suspect=(Suspicion(rule=EVIL, evidence=EVIL),)
    )
    manifest = {"candidate": {"metadata": {"kernel_name": EVIL}}}
    jobs = [*passed, crashed, suspect]
    return [
        reported(job, at=1_750_000_000.0 + n, owner=EVIL, manifest=manifest) for n, job in enumerate(jobs)
    ]


def test_nothing_that_users_say_becomes_part_of_the_page(hostile, make_result):
    heading = Heading(EVIL, EVIL, EVIL, 0.0, "0.1.0")
    text = render(Reported(hostile, [DamagedResult(EVIL, Path(EVIL), EVIL)]), heading)
    page = Page(text)
    honest = Page(render(Reported([reported(make_result("a"))]), HEADING))
    assert {tag for tag, _ in page.elements} <= {tag for tag, _ in honest.elements} | {
        "figure",
        "figcaption",
        "ul",
        "li",
        "pre",
        "h3",
        "wbr",
    }
    assert len(page.named("script")) == len(page.named("style")) == 1
    assert page.named("img") == []
    assert not [key for _, attributes in page.elements for key in attributes if key.startswith("on")]
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert sum("alert(1)" in said for said in page.texts) > 20, "they are shown, as texts"
    assert any("{{ 7 * 7 }}" in said for said in page.texts), "a template is not obeyed either"


def test_the_page_asks_for_nothing(hostile):
    page = Page(render(Reported(hostile), HEADING))
    links = [attributes["href"] for _, attributes in page.elements if "href" in attributes]
    assert all(link.startswith("#job-") or link == "data:," for link in links)
    assert not [attributes for _, attributes in page.elements if "src" in attributes or "style" in attributes]
    (policy,) = [meta["content"] for meta in page.named("meta") if meta.get("http-equiv")]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    style = next(text for text in page.texts if ":root" in text)
    assert "url(" not in style
    assert "@import" not in style


def test_every_link_has_its_target_and_all_ids_are_different(hostile):
    page = Page(render(Reported(hostile), HEADING))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {link["href"][1:] for link in page.named("a")} <= set(ids)


def test_the_page(make_result, make_failure, same_as_golden):
    manifest = {"candidate": {"metadata": {"function_name": "double"}}}
    broken = make_failure(EvaluationStatus.CRASHED, "broken", "killed\nby SIGSEGV")
    jobs = [
        reported(make_result("second"), at=1_750_003_600.0, owner="alice", manifest=manifest),
        reported(broken, at=1_750_001_800.0, manifest=manifest),
        reported(make_result("first", speedup_ci95=(0.9, 4.0), significant=False), manifest=manifest),
    ]
    text = render(Reported(jobs, unfinished=1), HEADING)
    Page(text)
    same_as_golden(text, "report.html")


def test_a_report_of_nothing(same_as_golden):
    text = render(Reported([]), HEADING)
    Page(text)
    assert "No job here has a result" in text


@pytest.fixture
def history(make_result):
    def make(number, speedup, manifest=None, **changes):
        interval = (speedup * 0.9, speedup * 1.1)
        result = make_result(
            f"j{number}", speedup=speedup, speedup_ci95=interval, significant=True, **changes
        )
        return reported(result, at=1_750_000_000.0 + 60 * number, manifest=manifest)

    return make


def test_history_by_kernel_label(history):
    jobs = [history(number, 2.0 + number, labels={"kernel": f"k{number % 2}"}) for number in range(5)]
    assert [(chart.by, chart.name, len(chart.points)) for chart in charts(jobs, None)] == [
        ("label kernel", "k0", 3),
        ("label kernel", "k1", 2),
    ]


def test_history_by_a_label_that_somebody_chose(history):
    jobs = [history(number, 2.0, labels={"run": "seven"} if number else {}) for number in range(3)]
    (chart,) = charts(jobs, "run")
    assert (chart.by, chart.name, len(chart.points)) == ("label run", "seven", 2)


def test_history_by_names_and_where_they_say_nothing_by_reference(history):
    named = {"candidate": {"metadata": {"function_name": "fused"}}, "reference": {"source_code": "x"}}
    conventional = {"candidate": {"metadata": {"class_name": "ModelNew"}}, "reference": {"source_code": "x"}}
    other = {"candidate": {}, "reference": {"source_code": "y"}}
    manifests = [named, named, conventional, conventional, other, None]
    jobs = [history(number, 2.0, manifest) for number, manifest in enumerate(manifests)]
    found = {chart.by: chart for chart in charts(jobs, None)}
    assert found["kernel name"].name == "fused"
    assert len(found["same reference"].points) == 2
    assert len(found) == 2


def test_time_goes_right_and_faster_is_higher(history):
    jobs = [history(2, 4.0, labels={"kernel": "k"}), history(1, 0.5, labels={"kernel": "k"})]
    (chart,) = charts(jobs, None)
    early, late = chart.points
    assert early.x < late.x
    assert early.y > chart.even > late.y
    assert late.interval[1] < late.y < late.interval[0]


def test_a_report_from_a_spool(kbd, tmp_path, has_remembered, has_queued, make_result, make_failure):
    has_remembered(make_result("good"))
    has_remembered(make_failure(EvaluationStatus.CRASHED, "bad"))
    has_queued("waiting")
    file = tmp_path / "report.html"
    file.write_text("an older one")
    ended = kbd("report", "-o", file)
    assert (ended.code, ended.out) == (0, "")
    assert "2 jobs; 1 has no result yet" in ended.err
    assert all(job in file.read_text() for job in ("good", "bad"))
    assert [path.name for path in tmp_path.glob("*report*")] == ["report.html"], "nothing is left beside it"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], {"good", "bad"}),
        (["--status", "crashed"], {"bad"}),
        (["-n", "1"], {"bad"}),
        (["good"], {"good"}),
        (["good", "bad", "--status", "passed"], {"good"}),
    ],
)
def test_which_jobs(kbd, has_remembered, make_result, make_failure, arguments, expected):
    has_remembered(make_result("good"))
    has_remembered(make_failure(EvaluationStatus.CRASHED, "bad"))
    page = Page(kbd("report", "-o", "-", *arguments).out)
    cells = {attributes.get("data-sort") for attributes in page.named("td")}
    assert cells & {"good", "bad"} == expected


def test_damaged_results_keep_no_other_out(kbd, spool, tmp_path, has_published, has_remembered, make_result):
    for job_id in ("cut", "link", "good"):
        has_remembered(make_result(job_id))
    has_published(make_result("good"))
    (spool.outbox / "cut.json").write_text('{"schema_version": 1,')
    (spool.outbox / "link.json").symlink_to(tmp_path)
    file = tmp_path / "report.html"
    ended = kbd("report", "-o", file)
    assert ended.code == ExitCode.UNUSABLE
    told, *left_out = ended.err.splitlines()
    assert told == f"{file}: 1 job; 2 have one that cannot be read"
    assert sorted(left_out) == [
        (
            f"left out: {spool.outbox / 'cut.json'}: expected a result of schema version 1, found no JSON: it is "
            "damaged. Move it out of the outbox: delivered once more, the same job gets its result again"
        ),
        f"left out: {spool.outbox / 'link.json'}: a symlink",
    ]
    page = Page(file.read_text())
    assert page.named("td")[0]["data-sort"] == "good"
    for said in ("cut.json: expected", "link.json: a symlink"):
        assert any(text.startswith(str(spool.outbox / said)) for text in page.texts)
    assert "damaged" in {link["href"][1:] for link in page.named("a")}


@pytest.mark.parametrize("content", ["{", None])
def test_a_damaged_result_without_the_database(kbd, spool, has_published, make_result, content):
    has_published(make_result("good"))
    path = spool.outbox / "broke.json"
    path.write_text(content) if content else path.mkdir()
    ended = kbd("report", "broke", "good", "-o", "-")
    assert ended.code == ExitCode.UNUSABLE
    assert "2.31x" in ended.out
    assert ended.err.startswith(f"left out: {path}: expected")


def test_named_jobs_on_a_host_without_the_database(kbd, has_published, make_result):
    has_published(make_result("a"))
    assert "2.31x" in kbd("report", "a", "-o", "-").out
    assert kbd("report", "-o", "-").code == ExitCode.NOT_FOUND


def test_what_cannot_be_meant(kbd, store, tmp_path):
    assert kbd("report").code == ExitCode.USAGE
    assert kbd("report", "-o", tmp_path).code == ExitCode.USAGE
    assert kbd("report", "nobody", "-o", "-").code == ExitCode.NOT_FOUND
    assert kbd("report", "-o", tmp_path / "no" / "folder.html").code == ExitCode.UNUSABLE
