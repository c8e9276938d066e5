import torch


class ModelNew(torch.nn.Module):
    def forward(self, x):
        hog = []
        while True:
            hog.append(bytearray(64 << 20))
