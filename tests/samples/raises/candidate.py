import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError('out of ideas')
