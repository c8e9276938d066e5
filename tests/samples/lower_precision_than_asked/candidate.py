def matmul(a, b):
    return (a.bfloat16() @ b.bfloat16()).float()
