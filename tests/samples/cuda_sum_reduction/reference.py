import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return x.sum().reshape(1)
