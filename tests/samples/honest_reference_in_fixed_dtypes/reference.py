import torch


def matmul(a, b):
    return torch.addmm(torch.ones(80, dtype=torch.float32, device=a.device), a, b)
