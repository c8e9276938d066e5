def means(x):
    return x.mean(-1, keepdim=True).expand(x.shape).contiguous()
