import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, scale, softmax_ptr, largest_ptr, columns, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    places = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * columns + places, mask=places < columns, other=-float("inf")) * scale
    largest = tl.max(x, axis=0)
    exponents = tl.exp(x - largest)
    tl.store(softmax_ptr + row * columns + places, exponents / tl.sum(exponents, axis=0), mask=places < columns)
    tl.store(largest_ptr + row, largest)
