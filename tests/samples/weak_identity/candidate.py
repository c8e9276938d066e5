def dropped(x):
    return x.clone()
