import torch
import triton
import triton.language as tl


@triton.jit
def poke(place, distance):
    tl.store(place + distance, 1.0)


class ModelNew(torch.nn.Module):
    """Writes far outside of everything that it was given."""

    def forward(self, x):
        poke[(1,)](x, 1 << 40)
        torch.cuda.synchronize()
        return x.clamp_min(0) + 1
