def relu_plus_one(x):
    return x.t_().clamp(min=0).t() + 1
