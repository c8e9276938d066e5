"""Its threads compute whatever they like while the reference is timed, and pause when the candidate is called."""

import threading
import time

import torch

HOGS = 2
PAUSE_S = 0.0012
called_at = [0.0]
hogs = []


def hog():
    torch.set_num_threads(1)
    a, out = torch.randn(96, 96), torch.empty(96, 96)
    while True:
        if time.perf_counter() - called_at[0] < PAUSE_S:
            time.sleep(PAUSE_S / 4)
        else:
            for _ in range(4):
                torch.mm(a, a, out=out)


def mixed(x):
    called_at[0] = time.perf_counter()
    while len(hogs) < HOGS:
        hogs.append(threading.Thread(target=hog, daemon=True))
        hogs[-1].start()
    made = x
    for _ in range(2):
        made = torch.tanh(made @ x)
    called_at[0] = time.perf_counter()
    return made
