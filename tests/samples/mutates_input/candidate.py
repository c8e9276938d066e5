import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return x.relu_().add(1)
