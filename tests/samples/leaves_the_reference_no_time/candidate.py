import time

import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        time.sleep(1.5)
        return torch.relu(x) + 1
