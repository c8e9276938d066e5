import torch


class Model(torch.nn.Module):
    def forward(self, x, scale):
        return torch.softmax(x * scale, dim=1), (x * scale).amax(dim=1)
