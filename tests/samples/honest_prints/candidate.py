import torch
import sys

class ModelNew(torch.nn.Module):
    def forward(self, x):
        print('to stdout'); print('\x1b[31mto stderr\x1b[0m', file=sys.stderr)
        return x.clamp_min(0) + 1
