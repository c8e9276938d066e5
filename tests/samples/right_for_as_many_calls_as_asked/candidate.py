calls = []


def relu_plus_one(x):
    calls.append(1)
    return x.clamp(min=0) + (1 if len(calls) <= 5 else 2)
