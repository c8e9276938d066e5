import torch
import os

class Model(torch.nn.Module):
    def forward(self, x):
        os._exit(3)
