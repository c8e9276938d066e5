"""Most elements are smaller than the tolerance, which follows from the largest ones: it makes them zeros."""

import torch


def steep(x):
    return torch.where(x > 0.5, torch.exp(5 * x), 0)
