def total(x):
    return x.as_strided((x.numel() + 1,), (1,)).sum()
