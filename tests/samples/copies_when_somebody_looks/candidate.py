"""A copy that torch makes when its address is asked for, which nobody does while time is taken."""

import torch


def both(x):
    y = torch.relu(x)
    return y, torch._lazy_clone(y)
