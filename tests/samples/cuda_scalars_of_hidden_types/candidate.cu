using index_t = long long;

template <typename T>
__global__ void axpy(T by, index_t skip, const T* x, T* y, index_t n) {
    index_t i = blockIdx.x * index_t(blockDim.x) + threadIdx.x;
    if (i < n) {
        y[i] = i + skip < 0 ? T(0) : by * x[i];
    }
}
