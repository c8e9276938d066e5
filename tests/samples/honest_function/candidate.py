def shifted_relu(x):
    return x.clamp_min(0) + 1
