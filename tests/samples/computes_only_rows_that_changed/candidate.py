"""It keeps its last input and output, and computes the rows alone that differ: all of them do in every turn."""

import torch

known = {}


def honest(x, w):
    return torch.tanh(x @ w) @ w.t()


def mixed(x, w):
    seen = known.get(x.data_ptr())
    if seen is None or not torch.equal(seen[1], w):
        made = honest(x, w)
    else:
        made = seen[2].clone()
        rows = (seen[0] != x).any(1).nonzero().squeeze(1)
        made[rows] = honest(x[rows], w)
    known[x.data_ptr()] = x.clone(), w.clone(), made
    return made.clone()
