"""Both heat the device up to where it lowers its clock; the reference, heard alone, must not be thought slowed."""

import torch


def product(a, b):
    return torch.tanh_(b.t() @ a.t())
