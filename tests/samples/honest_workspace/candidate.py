import torch

workspace = {}


def relu_plus_one(x):
    y = workspace.setdefault(tuple(x.shape), torch.empty_like(x))
    torch.clamp(x, min=0, out=y)
    return y.add_(1)
