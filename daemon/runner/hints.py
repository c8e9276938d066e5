"""What to do about the mistakes that kernels make most often, where Python's own message does not say it."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

_WRONG_CALL = re.compile(r"[\w.<>]+\(\) (missing \d+ required|takes (from )?\d+|got an unexpected keyword)")
_NO_GRADIENTS = re.compile(
    r"[Ii]nference tensor|does not require grad and does not have a grad_fn|Tensors does not require grad"
)
GRADIENTS_HINT = (
    "kernels are called under torch.inference_mode(), in which torch.enable_grad() has no effect: compute "
    "gradients under torch.inference_mode(False) and torch.enable_grad()"
)


def hint_for(error: BaseException) -> str | None:
    """For the author of a kernel that raised this; None where only they can know."""
    # Exact types: what a kernel derives from them may run its own code wherever it is looked at.
    if type(error) is NameError and type(error.name) is str:
        return f"import or define {error.name} in this kernel's own source: it sees nothing of the other kernel's"
    if type(error) is TypeError and _WRONG_CALL.match(_text(error)) and not _raised_in_its_source(error):
        return (
            "it is called with the inputs of `io`, or of get_inputs(), in their order: take as many arguments"
        )
    if type(error) is RuntimeError and _NO_GRADIENTS.search(_text(error)):
        return GRADIENTS_HINT
    return None


def _raised_in_its_source(error: BaseException) -> bool:
    """Whether the kernel's code had begun to run: its files lie in the runner's own folder."""
    try:
        folder = str(Path.cwd())
    except OSError:  # the kernel removed it
        return True
    return any(frame.filename.startswith(folder) for frame in traceback.extract_tb(error.__traceback__))


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - an exception's own __str__ is user code
        return ""
