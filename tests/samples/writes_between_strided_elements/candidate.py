def relu_plus_one(x):
    x.as_strided((x.numel() * 2 - 1,), (1,))[1::2] = 0.0
    return x.clamp(min=0) + 1
