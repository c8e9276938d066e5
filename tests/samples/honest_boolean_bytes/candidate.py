def count_twice(x):
    return x.long() + x
