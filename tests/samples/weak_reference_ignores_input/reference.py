import torch


def wave(x):
    return torch.sin(torch.arange(9, dtype=torch.float32, device=x.device))
