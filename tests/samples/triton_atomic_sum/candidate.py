import triton
import triton.language as tl


@triton.jit
def sum_kernel(x_ptr, total_ptr, n_elements, BLOCK: tl.constexpr):
    places = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + places, mask=places < n_elements, other=0.0)
    tl.atomic_add(total_ptr, tl.sum(x, axis=0))
