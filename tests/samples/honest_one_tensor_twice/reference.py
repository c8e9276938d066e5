import torch


def twice(x):
    y = torch.relu(x) + 1
    return y, y
