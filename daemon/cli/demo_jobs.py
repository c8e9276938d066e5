"""The five jobs of `kbd demo`: one of each kind of verdict that a newcomer should have seen."""

from dataclasses import dataclass
from importlib import resources
from typing import Final

from kbd.outbox.verdict import EvaluationStatus


@dataclass(frozen=True, slots=True)
class DemoJob:
    """A job in the package's folder `demo/`: its name, what its candidate does, and its right verdict.

    `is_faster`: so it is where nothing else takes up the device.
    """

    name: str
    candidate: str
    expected: EvaluationStatus
    is_faster: bool = False

    @property
    def file_name(self) -> str:
        """What it is called in the inbox."""
        return f"{self.name}.yaml"

    def source(self) -> bytes:
        """The manifest, as it is delivered."""
        return resources.files("kbd.daemon.cli").joinpath("demo", self.file_name).read_bytes()


DEMO_JOBS: Final = (
    DemoJob("faster", "one fused softmax", EvaluationStatus.PASSED, is_faster=True),
    DemoJob("slower", "by way of float64", EvaluationStatus.PASSED),
    DemoJob("wrong", "sums the wrong axis", EvaluationStatus.INCORRECT_OUTPUT),
    DemoJob("crash", "reads address 0", EvaluationStatus.CRASHED),
    DemoJob("hang", "never returns (3 s)", EvaluationStatus.TIMEOUT),
)
