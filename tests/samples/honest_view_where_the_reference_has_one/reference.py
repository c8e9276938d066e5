def transposed(x):
    return x.t()
