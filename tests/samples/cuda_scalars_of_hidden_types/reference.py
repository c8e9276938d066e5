import torch


class Model(torch.nn.Module):
    def forward(self, x):
        y = 0.1 * x
        y[:7] = 0
        return y
