import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return 1 + x[:4]
