import torch
import triton
import triton.language as tl


@triton.jit
def add_kernel(a_ptr, b_ptr, c_ptr, n, BLOCK: tl.constexpr):
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = places < n
    tl.store(c_ptr + places, tl.load(a_ptr + places, mask=mask) + tl.load(b_ptr + places, mask=mask), mask=mask)


def add(a, b):
    c = torch.empty_like(a)
    add_kernel[(triton.cdiv(c.numel(), 256),)](a, b, c, c.numel(), BLOCK=256)
    return c


def scaled_sum(a, b):
    return torch.sum(add(a, b), dim=1)
