import torch


def mixed(x):
    made = x
    for _ in range(2):
        made = torch.tanh(made @ x)
    return made
