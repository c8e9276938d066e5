def twice(x):
    y = x + 1
    return y, y
