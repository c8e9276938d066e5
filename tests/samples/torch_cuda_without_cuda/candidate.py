import torch
from torch.utils.cpp_extension import load_inline

extension = load_inline(
    name="relu", cpp_sources="", cuda_sources="// …", functions=["relu"], no_implicit_headers=True
)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return extension.relu(x)
