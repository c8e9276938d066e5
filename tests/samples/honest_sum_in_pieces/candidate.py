def total(x):
    return sum(piece.sum(-1) for piece in x.split(37, -1))
