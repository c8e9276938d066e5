#include <cuda_fp8.h>

__global__ void add(const __nv_fp8_e4m3* a, const __nv_fp8_e4m3* b, __nv_fp8_e4m3* c, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        c[i] = __nv_fp8_e4m3(float(a[i]) + float(b[i]));
    }
}
