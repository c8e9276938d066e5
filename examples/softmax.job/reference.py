import torch


class Model(torch.nn.Module):
    """Softmax of each row, step by step."""

    def forward(self, x):
        powers = torch.exp(x - x.amax(dim=-1, keepdim=True))
        return powers / powers.sum(dim=-1, keepdim=True)
