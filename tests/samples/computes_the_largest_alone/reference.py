import torch


def steep(x):
    return torch.exp(5 * x)
