"""How tensors of some form are stored when they are copied."""

import pytest

from kbd.daemon.executor.tensor_messages import TensorMeta
from kbd.daemon.judge.dense_form import dense_form
from kbd.daemon.runner.values import UnknownValue


@pytest.mark.parametrize(
    ("shape", "stride", "kept"),
    [
        ((2, 3), (1, 2), True),
        ((2, 3), (3, 1), True),
        ((2, 1, 3), (3, 99, 1), True),
        ((), (), True),
        ((5,), (0,), False),
        ((5,), (2,), False),
        ((2, 3), (8, 2), False),
    ],
    ids=str,
)
def test_only_permutations_keep_their_strides(shape, stride, kept):
    meta = TensorMeta(shape=shape, dtype="float32", stride=stride, device="cuda")
    assert dense_form(meta).stride == (stride if kept else None)
    assert dense_form(meta).shape == shape


def test_a_dtype_that_does_not_exist():
    with pytest.raises(UnknownValue):
        dense_form(TensorMeta(shape=(1,), dtype="float31", device="cpu"))
