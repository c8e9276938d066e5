import torch
from torch.utils.cpp_extension import load_inline

source = """
__global__ void relu_kernel(const float* x, float* y, long n) {
    const long i = blockIdx.x * long(blockDim.x) + threadIdx.x;
    if (i < n) y[i] = fmaxf(undefined_name[i], 0.0f);
}
"""
extension = load_inline(name="relu", cpp_sources="", cuda_sources=source, no_implicit_headers=True)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        return extension.relu(x)
