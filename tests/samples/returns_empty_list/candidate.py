def relu_plus_one(x):
    return []
