import torch

class ModelNew(torch.nn.Module):
    def __init__(self, features):
        super().__init__()
        self.linear = torch.nn.Linear(features, 8)

    def forward(self, x):
        return x @ self.linear.weight.t() + self.linear.bias
