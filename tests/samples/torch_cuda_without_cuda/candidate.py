import torch
from torch.utils.cpp_extension import load_inline

extension = load_inline(
    name="relu", cpp_sources="torch::Tensor relu(torch::Tensor x);", cuda_sources="// …", functions=["relu"]
)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return extension.relu(x)
