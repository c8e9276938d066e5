import torch


def wave(x):
    return torch.arange(9, dtype=x.dtype, device=x.device).sin()
