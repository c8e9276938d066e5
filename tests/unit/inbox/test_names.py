import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kbd.inbox import names

FILE_NAMES = st.binary(min_size=1, max_size=255).filter(lambda raw: not {0, 47} & set(raw)).map(os.fsdecode)
JOB_NAMES = st.from_regex(names.NAME_PATTERN, fullmatch=True)


@given(FILE_NAMES)
def test_plain_names_are_safe_for_every_name(name: str) -> None:
    plain = names.plain_name(name)
    assert re.fullmatch(r"[A-Za-z0-9._%-]{1,160}", plain)
    assert not plain.startswith(".")


@given(JOB_NAMES, st.sampled_from([*names.MANIFEST_SUFFIXES, names.JOB_FOLDER_SUFFIX]))
def test_names_of_jobs_stay_as_they_are(name: str, suffix: str) -> None:
    assert names.plain_name(name + suffix) == name + suffix
    assert names.job_name(name + suffix) == name


@given(FILE_NAMES, FILE_NAMES)
def test_different_names_stay_different(one: str, other: str) -> None:
    assert (names.plain_name(one) == names.plain_name(other)) == (one == other)


@given(FILE_NAMES)
def test_what_is_plain_is_not_made_so_again(name: str) -> None:
    assert names.kept_plain(names.plain_name(name)) == names.plain_name(name)
    assert re.fullmatch(r"[A-Za-z0-9_%-][A-Za-z0-9._%-]{0,159}", names.kept_plain(name))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.yaml", "a"),
        ("a.b.json", "a.b"),
        ("a.job", "a"),
        ("kernel.cu", "kernel.cu"),
        ("-a.yaml", None),
        (".yaml", None),
        ("a b.yaml", None),
        ("ü.yaml", None),
        ("a\n.yaml", None),
        ("a.yaml\n", None),
        ("a" * 128 + ".yaml", "a" * 128),
        ("a" * 129 + ".yaml", None),
    ],
)
def test_job_name(name: str, expected: str | None) -> None:
    assert names.job_name(name) == expected


@pytest.mark.parametrize(
    "name", [".a.tmp", ".nfs000001", "a.tmp", "a.yaml.part", "a.yaml~", "a.swp", ".x.yaml"]
)
def test_ignored(name: str) -> None:
    assert names.is_ignored(name)


@pytest.mark.parametrize("name", ["a.yaml", "tmp", "a.tmp.yaml", "~a", "a.nfs"])
def test_not_ignored(name: str) -> None:
    assert not names.is_ignored(name)


@pytest.mark.parametrize(
    ("name", "expected"), [("bob", True), ("bob.job", False), ("a.yaml", False), ("b b", False)]
)
def test_owners(name: str, expected: bool) -> None:
    assert names.is_owner(name) is expected
