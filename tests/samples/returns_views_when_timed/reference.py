import torch


def transposed(x: torch.Tensor):
    return x.t().contiguous()
