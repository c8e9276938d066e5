"""A job that is cancelled on a CUDA device, in each stage: nothing of it is left, and the next job passes."""

import json

import psutil
import pytest

from kbd.daemon.devices import discover
from tests.site_of_daemon import (
    GOOD,
    ON_THE_DEVICE,
    SLEEPS_IN,
    SLEEPS_IN_COMPILER,
    TIMED,
    Site,
    job,
    until,
)

DEVICE = "cuda"
SLOTS = 2
STAGES = {
    "compile": ("compile", SLEEPS_IN_COMPILER),
    **{stage: (stage, text) for stage, text in SLEEPS_IN.items()},
    "correctness_on_the_device": ("correctness", job(sleeps_when="True", sleeping=ON_THE_DEVICE)),
    "timing_on_the_device": ("timing", job(sleeps_when=TIMED, sleeping=ON_THE_DEVICE)),
}

pytestmark = pytest.mark.xdist_group("gpu")


class Settled(Site):
    """One that knows how many processes there are while nothing is done."""

    def settle(self):
        """Let a job pass, and count once spares have taken the places of those that it used up."""
        self.deliver("first", GOOD)
        assert self.result("first")["status"] == "passed"
        counts = []
        until(lambda: counts.append(len(self.processes())) or counts[-20:] == counts[-1:] * 20, "quiet")
        self.at_rest = counts[-1]

    def assert_nothing_is_left(self):
        until(lambda: self._device()["state"] == "free", "the device without a job")
        assert (self._device()["job"], self._device()["problem"]) == (None, None)
        until(lambda: len(self.processes()) <= self.at_rest, f"{self.at_rest} processes, as before")

    def _device(self):
        (device,) = json.loads(self.spool.status_file.read_text())["devices"]
        return device


def is_left(process):
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(scope="module")
def site(make_daemon):
    site = Settled(make_daemon())
    only = discover(DEVICE, cpu_slots=1)[0].target.visible
    with site.running(device=DEVICE, KBD_DEVICE_SLOTS=str(SLOTS), CUDA_VISIBLE_DEVICES=only or ""):
        site.settle()
        yield site
        processes = site.processes()
    assert [process for process in processes if is_left(process)] == []


@pytest.mark.parametrize("name", STAGES)
def test_cancel_a_job_that_runs(site, tmp_path, name):
    stage, text = STAGES[name]
    site.cancel_in(stage, name, text, tmp_path / "elsewhere")
    site.assert_nothing_is_left()


def test_cancel_a_job_that_is_queued(site, tmp_path):
    busy = [f"busy{number}" for number in range(SLOTS)]
    for name in busy:
        site.deliver(name, SLEEPS_IN["correctness"])
    for name in busy:
        site.wait_for("stage", job=name, stage="correctness")
    site.deliver("queued", GOOD)
    site.wait_for("claimed", job="queued")
    site.kbd("cancel", "queued", *busy, state=tmp_path / "elsewhere")
    results = site.daemon.results()
    assert {results[name]["status"] for name in ("queued", *busy)} == {"cancelled"}
    assert (results["queued"]["stage"], results["queued"]["attempt"]) == (None, 0)
    assert site.sleepers() == []
    site.deliver("after_queued", GOOD)
    assert site.result("after_queued")["status"] == "passed"
    site.assert_nothing_is_left()
