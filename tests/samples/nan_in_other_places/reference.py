def logarithm(x):
    return x.log()
