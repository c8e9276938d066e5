import torch


class Model(torch.nn.Module):
    def forward(self, x):
        made = x
        for _ in range(6):
            made = torch.tanh(made @ x)
        return made


def get_inputs():
    return [torch.randn(96, 96)]


def get_init_inputs():
    return []
