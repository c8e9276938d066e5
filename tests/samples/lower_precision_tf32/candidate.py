import torch


def _rounded(x):
    return ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


def matmul(a, b):
    return _rounded(a) @ _rounded(b)
