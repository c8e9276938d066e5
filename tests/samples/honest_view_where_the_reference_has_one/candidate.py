def transposed(x):
    return x.permute(1, 0)
