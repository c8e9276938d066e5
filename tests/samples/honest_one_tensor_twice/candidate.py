import torch


def twice(x):
    y = torch.clamp(x, min=0) + 1
    return y, y
