import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return x[:4] + 1


def get_inputs():
    return [torch.rand(1).expand(1 << 39)]
