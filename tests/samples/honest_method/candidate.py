import torch


class Kernels:
    def shifted_relu(self, x):
        return torch.relu(x).add(1)
