import torch


def mixed(x):
    x.copy_(torch.tanh(x @ x))
