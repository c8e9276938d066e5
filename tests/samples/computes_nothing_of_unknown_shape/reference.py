import torch


def positive(x):
    return x[x > 0]
