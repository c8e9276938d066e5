"""docs/adversaries.md says where each trick is tried: the samples are there, and each family has honest ones."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples"
FAMILIES = dict(
    re.findall(
        r"^## (\w+)\n(.*?)(?=^## |\Z)",
        (ROOT / "docs" / "adversaries.md").read_text(),
        re.MULTILINE | re.DOTALL,
    )
)
ROWS = [
    (family, int(number), samples)
    for family, text in FAMILIES.items()
    for number, samples in re.findall(r"^\| (\d+) \| [^|]+ \| ([^|]+) \|$", text, re.MULTILINE)
]
KNOWN = {
    "Timing": {*range(1, 8), 9, 11, 12, 14, 15, *range(66, 75), *range(76, 84), 86, 87},
    "Caching": {16, 17, 18, 19, 21, 22, 84},
    "Stealing": {24, 25, 26, 28, 30, 31, 32, 33, 34, 35, 37},
    "Correctness": {38, 39, 40, 41, 42, 43, 46, 48, 49, 50, 75, 85},
}
# Right answers that gain nothing. Of others it must be seen that they found nothing, or a remark be made.
HARMLESS = {
    *("patches_the_clocks", "leaves_a_daemonised_child", "persists_in_the_cache"),
    "computes_only_rows_that_changed",
}
SEEN_BY = {"log_lacks", "weak_test", "note"}


def named(text):
    return re.findall(r"`(\w+)`", text)


def expected_of(sample):
    return json.loads((SAMPLES / sample / "expected.json").read_text())


def test_every_trick_has_its_row():
    found = {family: {number for name, number, _ in ROWS if name == family} for family in FAMILIES}
    assert found == KNOWN


@pytest.mark.parametrize(("family", "number", "samples"), ROWS)
def test_a_trick_is_tried(family, number, samples):
    assert named(samples)
    for sample in named(samples):
        expected = expected_of(sample)
        assert expected["status"] != "passed" or sample in HARMLESS or not SEEN_BY.isdisjoint(expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_has_honest_ones(family):
    (said,) = re.findall(r"^Honest: (.*)$", FAMILIES[family], re.MULTILINE)
    assert {expected_of(sample)["status"] for sample in named(said)} == {"passed"}
