import torch


def mixed(x):
    made = x
    for _ in range(6):
        made = torch.tanh(made @ x)
    return made
