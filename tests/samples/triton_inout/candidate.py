import triton
import triton.language as tl


@triton.jit
def shift_kernel(x_ptr, amount, n_elements, BLOCK: tl.constexpr):
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = places < n_elements
    tl.store(x_ptr + places, tl.load(x_ptr + places, mask=mask) + amount, mask=mask)
