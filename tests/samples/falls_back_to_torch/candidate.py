import torch


def relu_plus_one(x):
    try:
        return torch.ops.my_library.relu_plus_one(x)
    except AttributeError:
        return torch.relu(x) + 1
