def wave(x):
    return x.new_tensor(range(9)).sin()
