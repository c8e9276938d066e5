import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = x * 3
        y[7] += 1
        return y
