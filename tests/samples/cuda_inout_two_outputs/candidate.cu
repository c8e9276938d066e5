__global__ void both(float* x, float* doubled, int n) {
    int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        doubled[i] = x[i] * 2;
        x[i] += 1;
    }
}
