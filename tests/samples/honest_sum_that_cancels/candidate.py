def total(x):
    return x.flip(-1).cumsum(-1)[:, -1]
