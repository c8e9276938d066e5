"""Copies by address: the same as torch's, whatever the kernel has done to torch."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.overrides import TorchFunctionMode

from kbd.daemon.runner.copying import DeviceTarget, can_copy, copy_all, copy_to, shares_memory, target_at

DTYPES = [
    torch.float64,
    torch.float32,
    torch.bfloat16,
    torch.float8_e4m3fn,
    torch.int8,
    torch.bool,
    torch.complex128,
]


def tensors():
    return {
        "contiguous": torch.randn(3, 4),
        "transposed": torch.randn(3, 4).t(),
        "sliced": torch.randn(6, 8)[1::2, ::3],
        "expanded": torch.randn(3, 1).expand(3, 4),
        "scalar": torch.tensor(2.5),
        "empty": torch.empty(0, 3),
        "conjugated": torch.randn(3, dtype=torch.complex64).conj(),
        "one": torch.randn(1, 1, 5).permute(2, 0, 1),
    }


def same_bytes(one, other):
    """Whatever they stand for: NaN too."""
    raw = [
        torch.empty(each.shape, dtype=each.dtype).copy_(each).reshape(-1).view(torch.uint8)
        for each in (one, other)
    ]
    return torch.equal(*raw)


@pytest.mark.parametrize("name", tensors())
def test_a_copy_holds_what_the_tensor_held(name):
    tensor = tensors()[name]
    was, target = tensor.clone(), torch.empty_like(tensor)
    copy_to(target, tensor)
    tensor.untyped_storage().fill_(7)
    assert torch.equal(target, was)


@given(st.sampled_from(DTYPES), st.lists(st.integers(0, 5), max_size=4), st.randoms(use_true_random=False))
def test_any_dtype_and_layout(dtype, shape, random):
    made = torch.zeros([size + 2 for size in shape]).to(dtype)
    made.view(torch.uint8).random_(0, 2) if made.dim() else None
    tensor = made[tuple(slice(0, size) for size in shape)].permute(
        random.sample(range(len(shape)), len(shape))
    )
    target = torch.zeros(tensor.shape, dtype=dtype)
    assert can_copy(target, tensor)
    copy_to(target, tensor)
    assert same_bytes(target, tensor)


def test_other_dtypes_and_shapes_are_for_torch():
    assert not can_copy(torch.zeros(3), torch.zeros(3, dtype=torch.float64))
    assert not can_copy(torch.zeros(3), torch.zeros(4))


@pytest.mark.parametrize("name", tensors())
@pytest.mark.parametrize("stored", ["as it is", "dense"])
def test_a_target_takes_what_fits(name, stored):
    tensor = tensors()[name]
    layout = torch.preserve_format if stored == "as it is" else torch.contiguous_format
    target = target_at(torch.empty_like(tensor, memory_format=layout))
    assert copy_all([target], [tensor])
    assert torch.equal(target.tensor, tensor.resolve_conj())


@pytest.mark.parametrize("name", tensors())
def test_so_does_one_on_a_device(name):
    """As far as the CPU can show it."""
    tensor = tensors()[name]
    target = DeviceTarget(torch.zeros(tensor.shape, dtype=tensor.dtype), tensor.dtype, tuple(tensor.shape))
    assert copy_all([target], [tensor])
    assert torch.equal(target.tensor, tensor.resolve_conj())
    assert not copy_all([target], [torch.zeros(tensor.shape, dtype=torch.float16)])
    assert not copy_all([target], [torch.zeros((*tensor.shape, 2), dtype=tensor.dtype)])


def test_all_are_copied_or_none():
    targets = [target_at(torch.zeros(2)), target_at(torch.zeros(3))]
    for others in ([torch.ones(2), torch.ones(4)], [torch.ones(2)], [torch.ones(2), torch.ones(3).double()]):
        assert not copy_all(targets, others)
    assert [float(target.tensor.sum()) for target in targets] == [0, 0]
    assert copy_all(targets, [torch.ones(2), torch.ones(3)])
    assert [float(target.tensor.sum()) for target in targets] == [2, 3]


def test_replaced_methods_are_not_asked(monkeypatch):
    target, other = torch.zeros(3), target_at(torch.zeros(3))
    for name in ("clone", "copy_", "data_ptr", "stride", "is_contiguous", "is_conj", "size"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("asked"))
    copy_to(target, torch.ones(3))
    assert copy_all([other], [torch.ones(3)])
    monkeypatch.undo()
    assert target.tolist() == other.tensor.tolist() == [1, 1, 1]


def test_a_mode_that_was_left_on_sees_nothing():
    class Mode(TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            pytest.fail(f"{function} was asked")

    source, target = torch.ones(3), torch.zeros(3)
    with Mode():
        copy_to(target, source)
    assert target.tolist() == [1, 1, 1]


def test_memory_that_is_not_each_tensors_own():
    inputs, own = torch.zeros(8), torch.zeros(3, 1)
    memory = range(inputs.data_ptr(), inputs.data_ptr() + inputs.nbytes)
    honest = [[own, torch.zeros(3, 1)], [own, own[:0], own[:0]], [own.t()], [own[:1].expand(1, 1)], []]
    for tensors in honest:
        assert not shares_memory(tensors, memory)
    lazy = torch._lazy_clone(torch.zeros(3))
    for tensors in [[own, own], [own, own.view(3)], [own.expand(3, 4)], [own, inputs[2:]], [lazy]]:
        assert shares_memory(tensors, memory)
