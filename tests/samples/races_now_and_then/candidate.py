import os
import random

import torch

dice = random.Random(os.urandom(8))


def relu_plus_one(x):
    y = torch.relu(x) + 1
    y.view(-1)[dice.randrange(2 * y.numel()) % y.numel() :][:3] += dice.random() < 0.95
    return y
