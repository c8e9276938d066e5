import torch


class Model(torch.nn.Module):
    def forward(self, x):
        return x + 0.5 + 0.25 - 3 + 200 - 300 + 5 + 7 + 1.5
