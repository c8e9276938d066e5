import contextlib
import errno
import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kbd.inbox import settling as settling_module
from kbd.inbox.scan_bounds import ScanBounds
from kbd.inbox.scanner import Delivery, Scanner
from kbd.inbox.sighting import Signature
from kbd.inbox.spool import Spool, SpoolMissing

WHOLE = '{"version": 1}'
TRUNCATED = '{"version": '


@dataclass
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path / "spool")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def scanner(spool: Spool, clock: Clock) -> Scanner:
    return Scanner(spool, clock)


def names(deliveries: list[Delivery]) -> list[str]:
    return [delivery.name for delivery in deliveries]


def look_twice(scanner: Scanner, clock: Clock) -> list[Delivery]:
    scanner.look()
    clock.now += 2
    return scanner.look()


class TestSettling:
    def test_unannounced_files_are_ready_when_unchanged_over_two_looks(
        self, spool: Spool, scanner: Scanner, clock: Clock
    ) -> None:
        path = spool.inbox / "a.json"
        path.write_text(WHOLE)
        assert scanner.look() == []
        assert scanner.next_look_s() == 2
        clock.now += 1.5
        assert scanner.look() == []
        assert scanner.next_look_s() == 0.5
        clock.now += 0.5
        assert scanner.look() == [Delivery(path, "a.json", None, complete=True)]
        assert scanner.next_look_s() is None

    def test_one_look_is_not_enough_however_late(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        scanner.look()
        (spool.inbox / "a.json").write_text(WHOLE)
        clock.now += 3600
        assert scanner.look() == []

    @pytest.mark.fault("a file is still growing")
    def test_a_change_starts_the_waiting_anew(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        path = spool.inbox / "a.json"
        path.write_text(WHOLE)
        scanner.look()
        clock.now += 1
        path.write_text(WHOLE + " ")
        scanner.look()
        clock.now += 1.5
        assert scanner.look() == []
        clock.now += 0.5
        assert names(scanner.look()) == ["a.json"]

    def test_same_size_and_time_in_another_inode_is_a_change(
        self, spool: Spool, scanner: Scanner, clock: Clock
    ) -> None:
        for name in ("a.json", ".other.tmp"):
            (spool.inbox / name).write_text(WHOLE)
            os.utime(spool.inbox / name, ns=(5, 5))
        scanner.look()
        (spool.inbox / ".other.tmp").rename(spool.inbox / "a.json")
        clock.now += 2
        assert scanner.look() == []

    def test_what_is_not_claimed_comes_again_and_what_is_gone_does_not(
        self, spool: Spool, scanner: Scanner, clock: Clock
    ) -> None:
        (spool.inbox / "a.json").write_text(WHOLE)
        assert look_twice(scanner, clock) == scanner.look() != []
        (spool.inbox / "a.json").unlink()
        assert scanner.look() == []

    def test_a_ready_file_that_changes_is_not_ready(
        self, spool: Spool, scanner: Scanner, clock: Clock
    ) -> None:
        (spool.inbox / "a.json").write_text(WHOLE)
        look_twice(scanner, clock)
        (spool.inbox / "a.json").write_text(TRUNCATED)
        assert scanner.look() == []

    def test_a_file_that_only_opening_shows_to_have_changed(
        self, spool: Spool, scanner: Scanner, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = spool.inbox / "a.json"
        path.write_text(WHOLE)
        scanner.look()
        clock.now += 2
        stale = Signature.of(path.stat())
        path.write_text(TRUNCATED)
        monkeypatch.setattr(Signature, "at", lambda path, status: stale)
        assert scanner.look() == []
        monkeypatch.undo()
        assert scanner.next_look_s() == 2


class TestTruncation:
    @pytest.mark.fault("a file is still growing")
    def test_waits_a_minute_and_is_given_up(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        path = spool.inbox / "a.json"
        path.write_text(TRUNCATED)
        assert look_twice(scanner, clock) == []
        assert scanner.next_look_s() == 2
        clock.now += 57
        assert scanner.look() == []
        clock.now += 1
        assert scanner.look() == [Delivery(path, "a.json", None, complete=False)]

    def test_is_ready_when_the_rest_arrives(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        (spool.inbox / "a.json").write_text(TRUNCATED)
        look_twice(scanner, clock)
        (spool.inbox / "a.json").write_text(WHOLE)
        assert [delivery.complete for delivery in look_twice(scanner, clock)] == [True]

    def test_of_the_document_in_a_folder(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        folder = spool.inbox / "a.job"
        folder.mkdir()
        (folder / "job.json").write_text(TRUNCATED)
        assert look_twice(scanner, clock) == []
        (folder / "job.json").write_text(WHOLE)
        assert names(look_twice(scanner, clock)) == ["a.job"]

    def test_of_a_folder_whose_files_come_later(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        folder = spool.inbox / "a.job"
        folder.mkdir()
        assert look_twice(scanner, clock) == []
        (folder / "job.yaml").write_text("candidate: {kernel_type: torch, source_file: late.py}\n")
        assert look_twice(scanner, clock) == []
        clock.now += 30
        assert look_twice(scanner, clock) == []
        (folder / "late.py").write_text("def f(x): return x\n")
        assert [delivery.complete for delivery in look_twice(scanner, clock)] == [True]

    def test_a_folder_is_ready_soon_after_its_last_file_without_any_hint(
        self, spool: Spool, scanner: Scanner, clock: Clock
    ) -> None:
        folder = spool.inbox / "a.job"
        folder.mkdir()
        (folder / "job.yaml").write_text("candidate: {kernel_type: torch, source_file: late.py}\n")
        assert look_twice(scanner, clock) == []
        (folder / "late.py").write_text("def f(x): return x\n")
        arrived = clock.now
        found: list[Delivery] = []
        while not found and (wait_s := scanner.next_look_s()) is not None:
            clock.now += wait_s
            found = scanner.look()
        assert names(found) == ["a.job"]
        assert clock.now - arrived <= 4

    def test_a_folder_whose_files_never_come_is_given_to_intake(
        self, spool: Spool, scanner: Scanner, clock: Clock
    ) -> None:
        (spool.inbox / "a.job").mkdir()
        (spool.inbox / "a.job" / "job.yaml").write_text(
            "candidate: {kernel_type: torch, source_file: typo.py}"
        )
        assert look_twice(scanner, clock) == []
        clock.now += 60
        assert [delivery.complete for delivery in scanner.look()] == [False]

    def test_a_wrong_document_is_not_waited_for(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        (spool.inbox / "a.json").write_text('{"a": 1, "a": NaN}')
        (spool.inbox / "b.yaml").write_text("a: &x [*x, *x]")
        assert [item.complete for item in look_twice(scanner, clock)] == [True, True]


class TestHints:
    def test_renamed_into_place_is_ready_at_once(self, spool: Spool, scanner: Scanner) -> None:
        path = spool.inbox / "a.yaml"
        path.write_text("whatever")
        assert scanner.look([path]) == [Delivery(path, "a.yaml", None, complete=True)]
        assert names(scanner.look()) == ["a.yaml"]

    def test_of_a_name_that_is_not_there(self, spool: Spool, scanner: Scanner) -> None:
        assert scanner.look([spool.inbox / "a.yaml", spool.root / "elsewhere"]) == []

    def test_of_an_owner(self, spool: Spool, scanner: Scanner) -> None:
        path = spool.inbox / "bob" / "a.yaml"
        path.parent.mkdir()
        path.write_text(WHOLE)
        assert scanner.look([path]) == [Delivery(path, "a.yaml", "bob", complete=True)]


@contextlib.contextmanager
def listed(entries: Iterable[Any]) -> Iterator[Iterator[Any]]:
    """As what scandir returns."""
    yield iter(entries)


def ending_in_the_middle(folder: str) -> Callable[[str | Path], Any]:
    """A scandir of a network file system that loses this folder while it is listed."""
    scandir = os.scandir

    def halves(path: str | Path) -> Iterator[Any]:
        with scandir(path) as entries:
            whole = list(entries)
        yield from whole[: len(whole) // 2]
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), os.fspath(path))

    return lambda path: listed(halves(path)) if Path(path).name == folder else scandir(path)


def with_broken_entry(name: str) -> Callable[[str | Path], Any]:
    """A scandir of a file system that does not tell types, with one file of which nothing can be told."""
    scandir = os.scandir

    class Broken:
        def __init__(self, entry: os.DirEntry[str]) -> None:
            self.name, self.path = entry.name, entry.path

        def is_dir(self, **_: bool) -> bool:
            raise OSError(errno.EIO, os.strerror(errno.EIO), self.path)

        stat = is_dir

    def entries_of(path: str | Path) -> Any:
        with scandir(path) as entries:
            return listed([Broken(entry) if entry.name == name else entry for entry in entries])

    return entries_of


class TestListing:
    @pytest.mark.fault("a client dies while writing")
    def test_ignored_names(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        (spool.inbox / "bob").mkdir()
        for name in (".a.tmp", "a.yaml.part", "a.yaml~", ".a.yaml.swp", ".nfs0001", "bob/.b.tmp", "b.tmp"):
            (spool.inbox / name).write_text(WHOLE)
        assert look_twice(scanner, clock) == []

    def test_owners_are_one_level_deep(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        (spool.inbox / "bob" / "deep").mkdir(parents=True)
        (spool.inbox / "bob" / "deep" / "a.json").write_text(WHOLE)
        (spool.inbox / "eve").mkdir()
        found = look_twice(scanner, clock)
        assert [(item.name, item.owner) for item in found] == [("deep", "bob")]

    def test_everything_else_is_a_delivery(
        self, spool: Spool, scanner: Scanner, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        inbox = spool.inbox
        (inbox / "link.yaml").symlink_to("/etc/passwd")
        (inbox / "link").symlink_to("/")
        os.mkfifo(inbox / "fifo.yaml")
        (inbox / "bad owner").mkdir()
        (inbox / "folder.yaml").mkdir()
        (inbox / "empty.job").mkdir()
        (inbox / "kernel.cu").write_text("")
        (inbox / os.fsdecode(b"\xff.yaml")).write_text("")
        os.chmod(inbox / "kernel.cu", 0)
        monkeypatch.chdir(inbox)  # the path of a socket must be short
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket.yaml")
        ready_at_once = {"link.yaml", "link", "fifo.yaml", "socket.yaml"}
        assert set(names(scanner.look())) == ready_at_once
        clock.now += 2
        assert set(names(scanner.look())) == ready_at_once | {
            "bad owner",
            "folder.yaml",
            "kernel.cu",
        }
        clock.now += 60
        # What is empty could still be arriving, whatever its name is.
        assert {os.fsdecode(b"\xff.yaml"), "empty.job"} <= set(names(scanner.look()))

    @pytest.mark.fault("a manifest is huge")
    def test_a_manifest_over_the_limit_is_not_waited_for(self, spool: Spool, clock: Clock) -> None:
        scanner = Scanner(spool, clock, bounds=ScanBounds(manifest_bytes=100))
        (spool.inbox / "a.yaml").write_text("x" * 101)
        (spool.inbox / "b.yaml").write_text("x" * 100)
        assert names(scanner.look()) == ["a.yaml"]

    def test_a_folder_settles_with_all_it_holds(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        deep = spool.inbox / "a.job" / "deep"
        deep.mkdir(parents=True)
        (spool.inbox / "a.job" / "job.json").write_text(WHOLE)
        for size in range(3):
            (deep / "data.npy").write_text("x" * size)
            assert scanner.look() == []
            clock.now += 1.5
        assert scanner.look() == []
        clock.now += 0.5
        assert names(scanner.look()) == ["a.job"]

    def test_order_is_first_sight_then_name(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        for names_now in (("d.json", "c.json"), ("b.json",), ("z.json", "a.json")):
            for name in names_now:
                (spool.inbox / name).write_text(WHOLE)
                os.utime(spool.inbox / name, ns=(len(name), 10**18))
            scanner.look()
        clock.now += 2
        assert names(scanner.look()) == ["c.json", "d.json", "b.json", "a.json", "z.json"]

    def test_a_second_delivery_of_a_name_arrives_anew(
        self, spool: Spool, scanner: Scanner, clock: Clock
    ) -> None:
        keep = spool.root / "keep"
        keep.write_text(WHOLE)  # so that its inode is not used again
        os.link(keep, spool.inbox / "z.json")
        scanner.look()
        (spool.inbox / "a.json").write_text(WHOLE)
        scanner.look()
        (spool.inbox / "z.json").unlink()
        (spool.inbox / "z.json").write_text(WHOLE)
        assert names(look_twice(scanner, clock)) == ["a.json", "z.json"]

    @pytest.mark.fault("a file handle is stale")
    def test_a_listing_that_ends_in_the_middle_is_done_again(
        self, spool: Spool, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        paths = [spool.inbox / f"{n}.json" for n in range(4)]
        for path in paths:
            path.write_text(WHOLE)
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", ending_in_the_middle("inbox"))
            with pytest.raises(OSError, match="Stale"):
                scanner.look(paths)
        assert sorted(delivery.path for delivery in scanner.look()) == paths

    @pytest.mark.fault("a file handle is stale")
    def test_nothing_is_forgotten_of_an_owner_whose_listing_ends_in_the_middle(
        self, spool: Spool, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (spool.inbox / "bob").mkdir()
        paths = [spool.inbox / "bob" / f"{n}.json" for n in range(4)]
        for path in paths:
            path.write_text(WHOLE)
        with monkeypatch.context() as patch:
            patch.setattr(os, "scandir", ending_in_the_middle("bob"))
            assert len(scanner.look(paths)) == 2
            assert "Stale" in scanner.unreadable[str(spool.inbox / "bob")]
        assert sorted(delivery.path for delivery in scanner.look()) == paths

    def test_one_whose_type_cannot_be_told_hides_nothing_else(
        self, spool: Spool, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a.json", "broken", "z.json"):
            (spool.inbox / name).write_text(WHOLE)
        monkeypatch.setattr(os, "scandir", with_broken_entry("broken"))
        found = scanner.look([spool.inbox / "a.json", spool.inbox / "z.json"])
        assert names(found) == ["a.json", "z.json"]
        assert "Input/output error" in scanner.unreadable[str(spool.inbox / "broken")]

    def test_an_unreadable_folder_is_told_and_hides_nothing_else(
        self, spool: Spool, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for owner in ("bob", "eve"):
            (spool.inbox / owner).mkdir()
            (spool.inbox / owner / "a.json").write_text(WHOLE)
        scandir = os.scandir

        def scandir_unless_bob(path: str) -> object:
            if os.fspath(path).endswith("bob"):
                raise PermissionError(13, "Permission denied", path)
            return scandir(path)

        monkeypatch.setattr(os, "scandir", scandir_unless_bob)
        found = scanner.look([spool.inbox / "eve" / "a.json"])
        assert [item.owner for item in found] == ["eve"]
        assert list(scanner.unreadable) == [str(spool.inbox / "bob")]
        monkeypatch.undo()
        scanner.look()
        assert not scanner.unreadable

    @pytest.mark.fault("the spool is unmounted")
    def test_a_missing_spool_is_not_an_empty_one(self, spool: Spool, scanner: Scanner) -> None:
        spool.sentinel.unlink()
        with pytest.raises(SpoolMissing):
            scanner.look()

    def test_an_inbox_that_cannot_be_listed_is_told(self, spool: Spool, scanner: Scanner) -> None:
        spool.inbox.rmdir()
        with pytest.raises(OSError, match="inbox"):
            scanner.look()


class TestBounds:
    def test_one_look_reads_only_so_much(self, spool: Spool, clock: Clock) -> None:
        scanner = Scanner(spool, clock, bounds=ScanBounds(examined_bytes=3 * 4096))
        for number in range(8):
            (spool.inbox / f"{number}.json").write_text(WHOLE)
        assert len(look_twice(scanner, clock)) == 3
        assert scanner.next_look_s() == 0
        assert len(scanner.look()) == 6
        assert len(scanner.look()) == 8
        assert scanner.next_look_s() is None

    @pytest.mark.fault("thousands of jobs at once")
    def test_what_has_settled_is_opened_when_it_is_handed_out_and_listed_once(
        self, spool: Spool, scanner: Scanner, clock: Clock, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for number in range(8):
            (spool.inbox / f"{number}.json").write_text(TRUNCATED if number < 3 else WHOLE)
        scanner.look(limit=3)
        clock.now += 2
        calls: list[str] = []
        for module, name in ((os, "scandir"), (settling_module, "examine")):
            real = getattr(module, name)
            monkeypatch.setattr(
                module,
                name,
                lambda *args, n=name, r=real, **options: (calls.append(n), r(*args, **options))[1],
            )
        assert names(scanner.look(limit=3)) == ["3.json", "4.json", "5.json"]
        assert calls == ["scandir"] + ["examine"] * 6
        assert scanner.next_look_s() == 0
        assert names(scanner.look(limit=3)) == ["6.json", "7.json"]
        assert calls == ["scandir"] + ["examine"] * 8

    def test_a_look_that_finds_nothing_whole_is_followed_by_another(self, spool: Spool, clock: Clock) -> None:
        scanner = Scanner(spool, clock, bounds=ScanBounds(examined_bytes=2 * 4096))
        for number in range(3):
            (spool.inbox / f"{number}.json").write_text(TRUNCATED if number < 2 else WHOLE)
        scanner.look(limit=8)
        clock.now += 2
        assert scanner.look(limit=8) == []
        assert scanner.next_look_s() == 0
        assert names(scanner.look(limit=8)) == ["2.json"]

    @pytest.mark.fault("one owner floods the inbox")
    def test_names_of_one_owner_do_not_crowd_out_others(self, spool: Spool, clock: Clock) -> None:
        scanner = Scanner(spool, clock, bounds=ScanBounds(names_per_owner=2))
        for owner in ("bob", "eve"):
            (spool.inbox / owner).mkdir()
        for number in range(5):
            (spool.inbox / "bob" / f"{number}.json").write_text(WHOLE)
        (spool.inbox / "eve" / "a.json").write_text(WHOLE)
        seen: set[str] = set()
        scanner.look()
        while (wait_s := scanner.next_look_s()) is not None:
            clock.now += wait_s
            found = scanner.look()
            assert sum(item.owner == "bob" for item in found) <= 2
            for item in found:
                seen.add(item.name)
                item.path.unlink()
        assert seen == {"0.json", "1.json", "2.json", "3.json", "4.json", "a.json"}

    def test_deferred_deliveries_come_back_later(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        path = spool.inbox / "a.json"
        path.write_text(WHOLE)
        (delivery,) = scanner.look([path])
        scanner.defer(delivery, for_s=10)
        assert scanner.next_look_s() == 10
        assert scanner.look() == []
        assert scanner.next_look_s() == 10
        clock.now += 10
        assert scanner.look() == [delivery]


class TestAbandoned:
    @pytest.mark.fault("a client dies while writing")
    def test_temporaries_idle_for_a_day(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        for name in (".a.tmp", ".b.tmp", "c.tmp", ".nfs01", "d.yaml~"):
            (spool.inbox / name).write_text("")
        os.utime(spool.inbox / ".a.tmp", ns=(0, 0))  # clocks of other hosts mean nothing
        scanner.look()
        clock.now += 24 * 3600 - 1
        (spool.inbox / ".b.tmp").write_text("still writing")
        scanner.look()
        assert scanner.abandoned() == []
        clock.now += 1
        scanner.look()
        assert scanner.abandoned() == [spool.inbox / ".a.tmp"]

    def test_those_that_are_gone_are_forgotten(self, spool: Spool, scanner: Scanner, clock: Clock) -> None:
        (spool.inbox / ".a.tmp").write_text("")
        scanner.look()
        (spool.inbox / ".a.tmp").unlink()
        clock.now += 48 * 3600
        scanner.look()
        assert scanner.abandoned() == []


class TestTurns:
    @pytest.fixture
    def hints(self, spool: Spool) -> list[Path]:
        hints = []
        for name in ("a/1.json", "a/2.json", "a/3.json", "4.json", "b/5.json", "b/6.json"):
            path = spool.inbox / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(WHOLE)
            hints.append(path)
        return hints

    @pytest.mark.parametrize(
        ("limit", "expected"), [(None, "123456"), (100, "145263"), (5, "14526"), (2, "14"), (0, "")]
    )
    @pytest.mark.fault("one owner floods the inbox")
    def test_owners_take_turns_up_to_the_limit(
        self, scanner: Scanner, hints: list[Path], limit: int | None, expected: str
    ) -> None:
        assert "".join(name[0] for name in names(scanner.look(hints, limit))) == expected

    def test_what_was_not_chosen_stays_ready(self, scanner: Scanner, hints: list[Path]) -> None:
        assert len(scanner.look(hints, limit=1)) == 1
        assert len(scanner.look(limit=3)) == 3
        assert len(scanner.look()) == 6

    def test_what_changed_while_it_waited_is_not_returned(
        self, scanner: Scanner, clock: Clock, hints: list[Path]
    ) -> None:
        scanner.look(hints, limit=1)
        hints[0].write_text(TRUNCATED)
        hints[1].unlink()
        assert "".join(name[0] for name in names(scanner.look(limit=6))) == "4563"
        assert scanner.next_look_s() == 0, "the inbox was not listed"
        assert "".join(name[0] for name in names(scanner.look(limit=6))) == "4536"
        assert scanner.next_look_s() == 2

    def test_what_is_over_the_limit_is_handed_out_without_listing(
        self, spool: Spool, scanner: Scanner, clock: Clock, hints: list[Path]
    ) -> None:
        """A listing takes long where many wait. One that arrives meanwhile is seen by the next one, hint or not."""
        claimed = names(scanner.look(hints, limit=2))
        late = spool.inbox / "0.json"
        late.write_text(WHOLE)
        claimed += names(scanner.look([late], limit=3))
        assert "".join(name[0] for name in claimed) == "14526"
        clock.now += 1
        assert "0.json" in names(scanner.look(limit=10))

    def test_a_second_arrival_under_a_waiting_name(
        self, spool: Spool, scanner: Scanner, hints: list[Path]
    ) -> None:
        scanner.look(hints, limit=1)
        (spool.inbox / ".new.tmp").write_text("other bytes")
        (spool.inbox / ".new.tmp").rename(hints[0])
        assert "1.json" in names(scanner.look([hints[0]]))


@dataclass
class File:
    """What the test knows of a file it wrote."""

    changed_at: float
    is_whole: bool
    renamed: bool
    looks: list[float] = field(default_factory=list)


class ScannerMachine(RuleBasedStateMachine):
    """Users write, rename and delete; the daemon looks and claims; time passes in whole seconds."""

    file_names = st.sampled_from(["a.json", "b.json", "bob/a.json", "bob/c.json"])

    @initialize()
    def begin(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.spool = Spool.create(self.folder)
        (self.spool.inbox / "bob").mkdir()
        self.clock = Clock()
        self.scanner = Scanner(self.spool, self.clock)
        self.files: dict[str, File] = {}
        self.hints: list[Path] = []
        self.returned: list[Delivery] = []
        self.size = 0

    def teardown(self) -> None:
        if not hasattr(self, "folder"):
            return
        try:
            self.look()
            self.drain()
        finally:
            shutil.rmtree(self.folder)

    def content(self, is_whole: bool) -> str:
        self.size += 1  # every version has a size of its own: mtimes of quick writes may be equal
        return (WHOLE if is_whole else TRUNCATED) + " " * self.size

    @rule(name=file_names, is_whole=st.booleans())
    def write(self, name: str, is_whole: bool) -> None:
        path = self.spool.inbox / name
        path.write_text(self.content(is_whole))
        self.files[name] = File(self.clock.now, is_whole, renamed=path in self.hints)

    @rule(name=file_names, told=st.booleans())
    def rename_into_place(self, name: str, told: bool) -> None:
        temporary = self.spool.inbox / ".x.tmp"
        temporary.write_text(self.content(is_whole=True))
        path = self.spool.inbox / name
        temporary.rename(path)
        if told:
            self.hints.append(path)
        self.files[name] = File(self.clock.now, is_whole=True, renamed=path in self.hints)

    @precondition(lambda self: self.files)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(self.files)))
        (self.spool.inbox / name).unlink()
        del self.files[name]

    @rule(seconds=st.integers(1, 70))
    def wait(self, seconds: int) -> None:
        self.clock.now += seconds

    @rule()
    def look(self) -> None:
        hints, self.hints = self.hints, []
        self.returned = self.scanner.look(hints)
        for file in self.files.values():
            file.looks.append(self.clock.now)
        self.check_returned()

    @precondition(lambda self: self.returned)
    @rule(data=st.data())
    def claim(self, data: st.DataObject) -> None:
        delivery = self.returned.pop(data.draw(st.integers(0, len(self.returned) - 1)))
        if self.key(delivery) in self.files:
            delivery.path.unlink()
            del self.files[self.key(delivery)]

    def key(self, delivery: Delivery) -> str:
        return str(delivery.path.relative_to(self.spool.inbox))

    def check_returned(self) -> None:
        """Safety: only what is there; only what was renamed, or unchanged for long enough."""
        for delivery in self.returned:
            file = self.files[self.key(delivery)]
            settled_s = self.clock.now - file.looks[0]
            if delivery.complete:
                assert file.renamed or (file.is_whole and settled_s >= 2)
            else:
                assert not file.is_whole
                assert settled_s >= 60

    def drain(self) -> None:
        """Liveness: looking only when told to, everything becomes ready, and not later than necessary."""
        for _ in range(40):  # what ends too early is looked at every 2 s of its minute
            wait_s = self.scanner.next_look_s()
            if wait_s is None:
                break
            self.clock.now += wait_s
            self.look()
        assert {self.key(delivery) for delivery in self.returned} == set(self.files)
        for file in self.files.values():
            due_s = 0 if file.renamed else 2 if file.is_whole else 60
            overdue = [at for at in file.looks if at - file.looks[0] >= due_s]
            assert overdue

    @invariant()
    def nothing_is_moved_or_removed(self) -> None:
        if hasattr(self, "files"):
            present = {str(path.relative_to(self.spool.inbox)) for path in self.spool.inbox.rglob("*.json")}
            assert present == set(self.files)


ScannerMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestScannerAgainstAModel = ScannerMachine.TestCase
