import torch


class Model(torch.nn.Module):
    def forward(self, x, amount):
        return x + amount
