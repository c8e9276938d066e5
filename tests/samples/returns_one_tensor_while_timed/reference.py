import torch


def copies(x):
    y = torch.relu(x)
    return y, y.clone(), y.clone(), y.clone()
