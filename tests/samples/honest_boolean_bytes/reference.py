def count_twice(x):
    return x * 2
