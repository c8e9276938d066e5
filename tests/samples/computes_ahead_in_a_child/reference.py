import torch


def chain(x):
    for _ in range(10):
        x = torch.tanh(x) * 1.01
    return x
