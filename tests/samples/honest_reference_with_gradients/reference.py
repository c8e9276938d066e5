import torch


class Model(torch.nn.Module):
    def forward(self, x):
        with torch.inference_mode(False), torch.enable_grad():
            z = x.clone().requires_grad_()
            (gradient,) = torch.autograd.grad((z * z).sum(), [z])
        return gradient
