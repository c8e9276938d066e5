import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return torch.relu(x) + 1, "a" * 2_000_000
