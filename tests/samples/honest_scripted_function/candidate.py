import torch


@torch.jit.script
def shifted(x):
    if x.shape[0] > 3:
        return torch.relu(x) + 1
    return x + 1


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return shifted(x)
