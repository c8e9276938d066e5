import torch


def dropped(x):
    return torch.nn.functional.dropout(x, 0.5, training=False).clone()
