"""Threads of its own do the work, each a piece, and sleep when there is none."""

from concurrent.futures import ThreadPoolExecutor

import torch

pool = ThreadPoolExecutor(2)


@torch.inference_mode()
def piece(source, target):
    torch.tanh(source, out=target)


def chain(x):
    made = torch.empty_like(x)
    for done in [pool.submit(piece, *halves) for halves in zip(x.chunk(2), made.chunk(2), strict=True)]:
        done.result()
    return made
