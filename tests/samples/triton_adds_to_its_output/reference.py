import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return 3 + 2 * x
