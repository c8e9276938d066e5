import torch

streams = []


def relu_plus_one(x):
    if not streams:
        streams.append(torch.cuda.Stream())
    (side,) = streams
    y = torch.empty_like(x)
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        torch.clamp(x, min=0, out=y)
        y.add_(1)
    torch.cuda.current_stream().wait_stream(side)
    return y
