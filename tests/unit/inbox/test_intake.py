import errno
import itertools
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from kbd.inbox import intake as intake_module
from kbd.inbox.claim import Claim, Claimed, Deferred, Quarantined, Refusal, Refused, Taken, Vanished
from kbd.inbox.epoch import EpochLost, fence_older, highest_epoch, make_epoch
from kbd.inbox.intake import Intake
from kbd.inbox.job_file import ReadLimits
from kbd.inbox.scanner import Delivery, Scanner
from kbd.inbox.sighting import Signature
from kbd.inbox.spool import Spool, jobs_under

JOB = json.dumps({"version": 1, "candidate": {"kernel_type": "torch", "source_code": "class ModelNew: ..."}})


def next_epoch(spool: Spool) -> Path:
    """As the holder of the next lease makes it."""
    folder = spool.claimed / f"{highest_epoch(spool) + 1:06d}"
    make_epoch(folder)
    return folder


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def epoch(spool: Spool) -> Path:
    return next_epoch(spool)


@pytest.fixture
def intake(spool: Spool, epoch: Path) -> Intake:
    return Intake(spool, epoch, today=lambda: date(2026, 2, 3))


def delivery_of(path: Path, owner: str | None = None) -> Delivery:
    return Delivery(path, path.name, owner, complete=True)


def seen(delivery: Delivery) -> Delivery:
    """As the scanner hands it out."""
    return replace(delivery, signature=Signature.at(os.fspath(delivery.path), delivery.path.lstat()))


def put(spool: Spool, name: str, text: str = JOB, owner: str | None = None) -> Delivery:
    path = spool.inbox / name if owner is None else spool.inbox / owner / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return delivery_of(path, owner)


def claimed(claim: Claim) -> Claimed:
    assert isinstance(claim, Claimed), claim
    return claim


def quarantined(claim: Claim) -> Quarantined:
    assert isinstance(claim, Quarantined), claim
    return claim


def reason_of(claim: Quarantined) -> dict[str, Any]:
    reason = json.loads(claim.path.with_name(f"{claim.path.name}.reason.json").read_text())
    assert isinstance(reason, dict)
    return reason


def fail_with(code: int) -> Callable[..., Any]:
    def fail(*arguments: object, **options: object) -> Any:
        raise OSError(code, os.strerror(code))

    return fail


class TestJobs:
    def test_a_file(self, spool: Spool, epoch: Path, intake: Intake) -> None:
        claim = claimed(intake.claim(put(spool, "a.json")))
        assert claim.path == epoch / "a.json"
        assert (claim.job_file.job_id, claim.owner) == ("a", None)
        assert claim.job_file.manifest.candidate.kernel_type == "torch"
        assert list(spool.inbox.iterdir()) == []

    def test_a_folder(self, spool: Spool, epoch: Path, intake: Intake) -> None:
        folder = spool.inbox / "a.job"
        folder.mkdir()
        (folder / "job.json").write_text(JOB)
        claim = claimed(intake.claim(delivery_of(folder)))
        assert (claim.path, claim.job_file.job_id) == (epoch / "a.job", "a")

    def test_owners_and_second_deliveries_lie_apart(self, spool: Spool, epoch: Path, intake: Intake) -> None:
        paths = []
        for owner in (None, "bob", "bob", None):
            claim = claimed(intake.claim(put(spool, "a.json", owner=owner)))
            assert (claim.job_file.job_id, claim.owner) == ("a", owner)
            paths.append(str(claim.path.relative_to(epoch)))
        assert paths == ["a.json", "@bob/a.json", "@bob/+2/a.json", "+2/a.json"]

    def test_a_batch_answers_in_order(self, spool: Spool, intake: Intake) -> None:
        deliveries = [
            put(spool, "a.json"),
            put(spool, "b.json", "{}"),
            put(spool, "c.json"),
            put(spool, "d.txt"),
        ]
        deliveries[2].path.unlink()
        kinds = [type(claim) for claim in intake.claim_batch(deliveries)]
        assert kinds == [Claimed, Quarantined, Vanished, Quarantined]

    def test_names_of_a_batch_are_made_durable_once_and_before_they_are_told(
        self, spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[str] = []
        for module, name in ((os, "rename"), (os, "fsync"), (intake_module, "read_job")):
            real = getattr(module, name)
            monkeypatch.setattr(
                module,
                name,
                lambda *args, n=name, r=real, **options: (events.append(n), r(*args, **options))[1],
            )
        intake.claim_batch([put(spool, f"{number}.json") for number in range(3)])
        assert events == ["rename"] * 3 + ["fsync"] + ["read_job"] * 3


class TestWhatUsersCanDo:
    """Nothing in the inbox may make intake raise, block, or follow."""

    @pytest.fixture
    def sockets(self, spool: Spool, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
        monkeypatch.chdir(spool.inbox)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as listener:
            yield listener

    @pytest.fixture
    def makers(self, sockets: socket.socket) -> dict[str, Callable[[Path], object]]:
        return {
            "symlink": lambda path: path.symlink_to("/etc/passwd"),
            "dangling symlink": lambda path: path.symlink_to("nothing"),
            "fifo": os.mkfifo,
            "socket": lambda path: sockets.bind(path.name),
            "device": lambda path: os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 5)),
            "folder": lambda path: path.mkdir(),
            "huge": lambda path: (path.touch(), os.truncate(path, 1 << 40)),
        }

    @pytest.mark.parametrize(
        "kind", ["symlink", "dangling symlink", "fifo", "socket", "device", "folder", "huge"]
    )
    @pytest.mark.fault("a symlink, FIFO or device is delivered")
    def test_unsafe_files(
        self,
        spool: Spool,
        epoch: Path,
        intake: Intake,
        makers: dict[str, Callable[[Path], object]],
        kind: str,
    ) -> None:
        try:
            makers[kind](spool.inbox / "a.yaml")
        except PermissionError:
            pytest.skip(f"this user may not make a {kind}")
        claim = quarantined(intake.claim(delivery_of(spool.inbox / "a.yaml")))
        assert (claim.code, claim.job_id) == (Refusal.UNSAFE_FILE, "a")
        assert claim.path.parent == spool.quarantine
        assert os.path.lexists(claim.path)
        assert reason_of(claim)["message"] == claim.message != ""
        assert list(spool.inbox.iterdir()) == list(jobs_under(epoch)) == []

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{}",
            "\xff\xfe",
            "\x00",
            "- a",
            "a: &a [*a]",
            "a: b: c",
            "version: 1\nunknown: 1",
            "[" * 9999,
            "!!python/x y",
        ],
    )
    @pytest.mark.fault("a manifest is a bomb")
    def test_broken_documents(self, spool: Spool, intake: Intake, text: str) -> None:
        (spool.inbox / "a.yaml").write_bytes(text.encode("latin-1"))
        claim = quarantined(intake.claim(delivery_of(spool.inbox / "a.yaml")))
        assert (claim.code, claim.job_id) == (Refusal.INVALID_JOB, "a")
        assert claim.reason
        assert [item["message"] for item in reason_of(claim)["problems"]] == [
            problem.message for problem in claim.reason
        ]

    @pytest.mark.fault("a file is still growing")
    def test_what_is_replaced_while_it_is_claimed_is_read_when_it_is_whole(
        self, spool: Spool, intake: Intake
    ) -> None:
        """By a plain `cp`, which empties the file that lies there and goes on to write into it."""
        delivery = seen(put(spool, "a.yaml"))
        with delivery.path.open("w") as copying:
            claim = intake.claim(delivery)
            assert isinstance(claim, Deferred)
            assert "somebody writes to it" in claim.message
            copying.write(JOB)
        (admitted,) = intake.admit_all([claim.taken])
        assert isinstance(admitted, Claimed)

    def test_what_is_no_job_and_as_it_was_seen_is_refused_at_once(self, spool: Spool, intake: Intake) -> None:
        folder = spool.inbox / "b.job"
        folder.mkdir()
        (folder / "job.yaml").write_text("no job")
        for delivery in (put(spool, "a.yaml", "no job"), delivery_of(folder)):
            assert quarantined(intake.claim(seen(delivery))).code is Refusal.INVALID_JOB

    def test_whoever_writes_without_end_is_refused(self, spool: Spool, epoch: Path) -> None:
        now = itertools.count(0.0, 2.0)
        intake = Intake(spool, epoch, clock=lambda: next(now))
        delivery = seen(put(spool, "a.yaml", "no"))
        claim: Any = intake.take(delivery)
        for _ in range(4):
            assert not isinstance(claim, Refused)
            with claim.path.open("a") as file:
                file.write(" job")
            (claim,) = intake.admit_all([claim if isinstance(claim, Taken) else claim.taken])
        assert isinstance(claim, Refused)

    def test_a_broken_document_with_an_id_is_rejected_under_it(self, spool: Spool, intake: Intake) -> None:
        claim = quarantined(intake.claim(put(spool, "a.json", '{"id": "mine", "unknown": 1}')))
        assert claim.job_id == "mine"

    @pytest.mark.parametrize(
        ("name", "job_id"),
        [
            (b"\xff\xfe.yaml", None),
            (b"a b.yaml", None),
            (b"line\nbreak.yaml", None),
            (b"..yaml", None),
            (b"...", None),
            (b"@bob", None),
            (b"+2", None),
            (b"-rf.yaml", None),
            (b"x" * 255, None),
            (b"\xc3\xbc" * 127, None),
            (b"kernel.cu", "kernel.cu"),
            (b"takeover-000001", "takeover-000001"),
        ],
    )
    @pytest.mark.fault("a name is no name of a job")
    def test_odd_names(self, spool: Spool, intake: Intake, name: bytes, job_id: str | None) -> None:
        path = spool.inbox / os.fsdecode(name)
        path.write_text(JOB)
        claim = quarantined(intake.claim(delivery_of(path)))
        assert claim.job_id == job_id
        assert claim.code == (Refusal.NOT_A_JOB if job_id else Refusal.BAD_NAME)
        assert claim.path.read_text() == JOB
        assert claim.path.name.isascii()
        assert "expected" in reason_of(claim)["message"]

    @pytest.mark.parametrize(
        ("name", "shown"),
        [
            (b"line\nbreak.yaml", "line%0Abreak.yaml"),
            (b"\xff\x1b.yaml", "%FF%1B.yaml"),
            (b"a b%0A.yaml", "a%20b%250A.yaml"),
        ],
    )
    def test_odd_bytes_are_escaped_once(self, spool: Spool, intake: Intake, name: bytes, shown: str) -> None:
        path = spool.inbox / os.fsdecode(name)
        path.write_text(JOB)
        claim = quarantined(intake.claim(delivery_of(path)))
        assert claim.path.name == shown
        assert f"found {shown} (unusual bytes shown as %XX)" in claim.message

    @pytest.mark.fault("a folder holds no job")
    def test_folders_without_a_job(self, spool: Spool, intake: Intake) -> None:
        for name in ("a.job", "bad owner"):
            (spool.inbox / name).mkdir()
            claim = quarantined(intake.claim(delivery_of(spool.inbox / name)))
            assert claim.path.is_dir()

    def test_owners_folders_are_one_level_deep(self, spool: Spool, intake: Intake) -> None:
        deep = spool.inbox / "alice" / "deep"
        deep.mkdir(parents=True)
        claim = quarantined(intake.claim(Delivery(deep, deep.name, "alice", complete=True)))
        assert claim.code == Refusal.NOT_A_JOB
        assert "owners' folders are one level deep: deliver jobs into inbox/alice/ itself" in claim.message

    @pytest.mark.parametrize("name", ["bad owner", "-alice"])
    def test_a_folder_that_cannot_be_an_owners(self, spool: Spool, intake: Intake, name: str) -> None:
        (spool.inbox / name).mkdir()
        claim = quarantined(intake.claim(delivery_of(spool.inbox / name)))
        assert claim.code == Refusal.BAD_NAME
        assert "an owner's folder is named like a job" in claim.message

    def test_a_misnamed_file_is_told_nothing_about_owners(self, spool: Spool, intake: Intake) -> None:
        for name in ("bad job.yaml", "kernel.cu"):
            assert "owner" not in quarantined(intake.claim(put(spool, name, JOB))).message

    @pytest.mark.fault("a job leads out of its folder")
    def test_the_files_beside_a_job_cannot_lead_out_of_its_folder(self, spool: Spool, intake: Intake) -> None:
        folder = spool.inbox / "a.job"
        folder.mkdir()
        (folder / "link.py").symlink_to("/etc/passwd")
        for number, name in enumerate(("link.py", "../../.kbd-spool", "/etc/passwd", "missing.py")):
            candidate = {"kernel_type": "torch", "source_file": name}
            (folder / "job.json").write_text(json.dumps({"version": 1, "candidate": candidate}))
            copy = folder.with_name(f"copy-{number}.job")
            copy.mkdir()
            for path in folder.iterdir():
                (copy / path.name).hardlink_to(path)
            claim = quarantined(intake.claim(delivery_of(copy)))
            assert "root:" not in claim.message

    def test_a_limit_of_ones_own(self, spool: Spool, epoch: Path) -> None:
        intake = Intake(spool, epoch, ReadLimits(manifest_bytes=10))
        assert quarantined(intake.claim(put(spool, "a.json"))).code is Refusal.UNSAFE_FILE

    def test_withdrawn_in_time(self, spool: Spool, intake: Intake) -> None:
        delivery = put(spool, "a.json")
        delivery.path.unlink()
        assert intake.claim(delivery) == Vanished(delivery.path, None, "a", was_claimed=False)

    def test_deleted_after_the_claim(self, spool: Spool, epoch: Path, intake: Intake) -> None:
        taken = [intake.take(put(spool, "a.json"))]
        (epoch / "a.json").unlink()
        assert intake.admit_all(taken) == [Vanished(epoch / "a.json", None, "a", was_claimed=True)]

    def test_the_same_file_again_by_another_name_of_it(self, spool: Spool, intake: Intake) -> None:
        delivery = put(spool, "a.json")
        (spool.root / "kept").hardlink_to(delivery.path)
        claimed(intake.claim(delivery))
        delivery.path.hardlink_to(spool.root / "kept")
        claimed(intake.claim(delivery))
        assert list(spool.inbox.iterdir()) == []

    def test_a_fault_of_ours_stops_nobody_else(
        self, spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        real = intake_module.read_job

        def read_job(path: Path, **options: Any) -> object:
            if path.name == "a.json":
                raise RecursionError("a bug")
            return real(path, **options)

        monkeypatch.setattr(intake_module, "read_job", read_job)
        first, second = intake.claim_batch([put(spool, "a.json"), put(spool, "b.json")])
        assert quarantined(first).code is Refusal.INTERNAL_ERROR
        claimed(second)
        assert [record.__dict__["action"] for record in caplog.records] == ["admit"]


class TestFailingFileSystems:
    @pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO, errno.EXDEV, errno.EBUSY])
    def test_what_cannot_be_moved_stays(
        self, spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        delivery = put(spool, "a.json")
        monkeypatch.setattr(os, "rename", fail_with(code))
        claim = intake.claim(delivery)
        assert isinstance(claim, Deferred)
        assert (claim.path, claim.was_claimed, claim.error.errno) == (delivery.path, False, code)
        assert ("permission" in claim.message.lower()) == (code == errno.EACCES)

    @pytest.mark.parametrize("code", [errno.EIO, errno.ESTALE, errno.EMFILE])
    def test_what_cannot_be_read_now_is_read_later(
        self, spool: Spool, intake: Intake, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        delivery = put(spool, "a.json")
        with monkeypatch.context() as patch:
            patch.setattr(intake_module, "read_job", fail_with(code))
            claim = intake.claim(delivery)
        assert isinstance(claim, Deferred)
        assert claim.was_claimed
        (later,) = intake.admit_all([claim.taken])
        assert isinstance(later, Claimed)

    @pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EKEYEXPIRED])
    @pytest.mark.fault("a permission is denied for a moment")
    def test_one_refusal_to_read_is_no_verdict(
        self, spool: Spool, epoch: Path, monkeypatch: pytest.MonkeyPatch, code: int
    ) -> None:
        now = 100.0
        intake = Intake(spool, epoch, clock=lambda: now)
        lasting, passing = put(spool, "a.json"), put(spool, "b.json")
        monkeypatch.setattr(intake_module, "read_job", fail_with(code))
        claims = intake.claim_batch([lasting, passing])
        for _ in range(2):
            assert all(isinstance(claim, Deferred) and claim.was_claimed for claim in claims), now
            now += 2
            claims = list(intake.admit_all(claim.taken for claim in claims if isinstance(claim, Deferred)))
        now += 2
        first, second = claims
        assert isinstance(first, Deferred)
        assert isinstance(second, Deferred)
        refused = quarantined(intake.quarantine_all(intake.admit_all([first.taken]))[0])
        assert (refused.code, refused.job_id) == (Refusal.UNREADABLE, "a")
        assert ("chmod" in refused.message) == (code != errno.EKEYEXPIRED)
        monkeypatch.undo()
        claimed(intake.quarantine_all(intake.admit_all([second.taken]))[0])

    def test_a_refusal_of_the_callers_own(self, spool: Spool, intake: Intake) -> None:
        claim = claimed(intake.claim(put(spool, "a.json")))
        refused = Refused(claim.path, None, "a", Refusal.ID_CONFLICT, (), "the id a is taken by other bytes")
        assert reason_of(quarantined(intake.quarantine_all([refused])[0]))["code"] == "id_conflict"

    @pytest.mark.fault("a disk is full")
    def test_a_full_quarantine_loses_nothing(
        self, spool: Spool, epoch: Path, intake: Intake, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        deliveries = [put(spool, "a.json", "{}"), put(spool, "b.json")]
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", fail_with(errno.ENOSPC))
            first, second = intake.claim_batch(deliveries)
        claimed(second)
        assert isinstance(first, Deferred)
        assert (first.path, first.was_claimed) == (epoch / "a.json", True)
        assert list(spool.quarantine.iterdir()) == []
        (refused,) = intake.admit_all([Taken(first.path, first.owner)])
        quarantined(intake.quarantine_all([refused])[0])

    @pytest.mark.parametrize("owner", [None, "bob"])
    def test_a_lost_epoch_is_no_vanished_job(self, spool: Spool, intake: Intake, owner: str | None) -> None:
        delivery = put(spool, "a.json", owner=owner)
        fence_older(spool, next_epoch(spool))
        with pytest.raises(EpochLost):
            intake.claim(delivery)
        assert delivery.path.exists()


class TestFinish:
    def test_files_away_by_day(self, spool: Spool, intake: Intake) -> None:
        for owner, place in ((None, "a.json"), (None, "+2/a.json"), ("bob", "@bob/a.json")):
            claim = claimed(intake.claim(put(spool, "a.json", owner=owner)))
            assert intake.finish(claim.path) == spool.done / "20260203" / place
        assert list(jobs_under(spool.claimed / "000001")) == []

    def test_what_is_gone_already(self, spool: Spool, epoch: Path, intake: Intake) -> None:
        claim = claimed(intake.claim(put(spool, "a.json")))
        done = intake.finish_all([claim.path, epoch / "never.json", claim.path])
        assert done == [spool.done / "20260203" / "a.json", None, None]


class Killed(BaseException):
    """The process is gone: from here on no call does anything."""


class Mortal:
    """Counts the system calls that change files, and dies before the one with the given number."""

    calls = ("rename", "replace", "link", "unlink", "mkdir", "rmdir", "open", "write", "fsync")

    def __init__(self, patch: pytest.MonkeyPatch, dies_at: int) -> None:
        self.left = dies_at
        for name in self.calls:
            patch.setattr(os, name, self.wrap(getattr(os, name)))

    def wrap(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            if self.left <= 0:
                raise Killed
            self.left -= 1
            return real(*arguments, **options)

        return call


@pytest.mark.fault("the daemon is killed at any moment")
def test_killed_before_any_system_call_no_job_is_lost_and_none_is_there_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = {"a.json", "b.json"}, {"c.json", "d.txt"}
    for dies_at in range(1000):
        spool = Spool.create(tmp_path / str(dies_at))
        for name in good | bad:
            put(spool, name, JOB if name in good else "{}", owner="bob" if name == "b.json" else None)
        first_epoch = next_epoch(spool)
        has_survived = False
        with monkeypatch.context() as patch:
            Mortal(patch, dies_at)
            try:
                work_through(spool, first_epoch)
                has_survived = True
            except Killed:
                pass
        restart(spool)
        done = sorted((job.path.name, job.owner) for day in spool.done.iterdir() for job in jobs_under(day))
        assert done == [("a.json", None), ("b.json", "bob")], dies_at
        refused = {path.name for path in spool.quarantine.iterdir() if not path.name.startswith(".")}
        assert refused == bad | {f"{name}.reason.json" for name in bad}, dies_at
        assert not [path for path in spool.inbox.rglob("*") if path.is_file()]
        if has_survived:
            assert dies_at > 20
            return
    pytest.fail("the work never came to its end")


def work_through(spool: Spool, epoch: Path) -> None:
    intake = Intake(spool, epoch, today=lambda: date(2026, 2, 3))
    waiting = sorted(path for path in spool.inbox.rglob("*") if path.is_file())
    deliveries = Scanner(spool).look(waiting)
    claims = intake.claim_batch(deliveries)
    intake.finish_all([claim.path for claim in claims if isinstance(claim, Claimed)])


def restart(spool: Spool) -> None:
    epoch = next_epoch(spool)
    fence_older(spool, epoch)
    intake = Intake(spool, epoch, today=lambda: date(2026, 2, 3))
    found = intake.admit_all([Taken(job.path, job.owner) for job in jobs_under(epoch)])
    claims = intake.quarantine_all(found)
    intake.finish_all([claim.path for claim in claims if isinstance(claim, Claimed)])
    work_through(spool, epoch)
