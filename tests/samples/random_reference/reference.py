import torch


def relu_plus_one(x):
    return torch.nn.functional.dropout(torch.relu(x) + 1, 0.5, training=True)
