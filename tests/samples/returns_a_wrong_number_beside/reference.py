def both(x):
    return x + 1, x.shape[1]
