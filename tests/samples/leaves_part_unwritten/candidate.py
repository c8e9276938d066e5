import torch


def relu_plus_one(x):
    y = torch.empty_like(x)
    y[:-1] = torch.relu(x[:-1]) + 1
    y[-1] = 0
    return y
