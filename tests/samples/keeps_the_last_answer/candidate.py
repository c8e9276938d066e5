import torch

last = []


def relu_plus_one(x):
    last.append(torch.relu(x) + 1)
    return last[max(len(last) - 2, 0)].clone()
