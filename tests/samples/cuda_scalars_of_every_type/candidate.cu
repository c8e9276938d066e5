#include <cstdint>
#include <cuda_fp16.h>

constexpr float weight = 1.0f;

__global__ void mix(const float* __restrict__ x, float f32, double f64, signed char i8, uint8_t u8, short i16,
                    long long i64, const unsigned long long u64, bool flag, __half h, float* y, size_t n) {
    size_t i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) {
        float sum = f32 + float(f64) + i8 + u8 + i16 + float(i64 / 1000000000) + __half2float(h);
        y[i] = x[i] + weight * sum + (flag && u64 == ~0ull ? 7.0f : 0.0f);
    }
}
