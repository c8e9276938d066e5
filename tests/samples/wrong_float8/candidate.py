import torch


def scaled(x):
    return (x.float() * 0.7).to(torch.float8_e4m3fn)
