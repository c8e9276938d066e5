def matmul(a, b):
    return (a.float() @ b.float()).bfloat16()
