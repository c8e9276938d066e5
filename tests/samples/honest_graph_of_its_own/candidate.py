import torch

captured = {}


def capture(x):
    graph, stream, kept = torch.cuda.CUDAGraph(), torch.cuda.Stream(), x.clone()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.relu(kept)
    with torch.cuda.graph(graph, stream=stream):
        y = torch.relu(kept) + 1
    return graph, y, kept


def relu_plus_one(x):
    if x.shape not in captured:
        captured[x.shape] = capture(x)
    graph, y, kept = captured[x.shape]
    kept.copy_(x)
    graph.replay()
    return y.clone()
