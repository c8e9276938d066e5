import pytest

from kbd.inbox.failed_reads import FailedReads


@pytest.mark.parametrize(
    ("at", "is_verdict"),
    [
        ([0.0], False),
        ([0.0, 600.0], False),
        ([0.0, 0.1, 0.2, 0.3, 0.4], False),
        ([0.0, 2.0, 4.0, 5.9], False),
        ([0.0, 2.0, 4.0, 6.0], True),
        ([100.0, 100.1, 100.2, 106.0], True),
    ],
)
def test_both_often_and_for_long(at: list[float], is_verdict: bool) -> None:
    failed = None
    for now in at:
        failed = FailedReads.one_more(failed, now)
    assert failed is not None
    assert failed.times == len(at)
    assert failed.are_a_verdict(at[-1]) is is_verdict
