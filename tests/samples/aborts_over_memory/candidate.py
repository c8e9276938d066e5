import ctypes

import torch


class ModelNew(torch.nn.Module):
    """What C++ does in a thread of its own when there is no memory: nobody catches it."""

    def forward(self, x):
        getattr(ctypes.CDLL("libstdc++.so.6"), "_ZSt17__throw_bad_allocv")()
