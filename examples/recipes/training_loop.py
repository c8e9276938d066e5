"""A training loop in small: generations of candidates, all in flight at once, rewarded by their speed-up.

python training_loop.py /mnt/spool

What a model would write is drawn here from a list of pieces. Everything else is as in a real loop.
"""

import random
import sys

from kbd.inbox.client import Client, as_completed

REFERENCE = "def f(x):\n    return x * 2 + 1\n"
PIECES = ["x + x + 1", "x.mul(2).add_(1)", "x.double().mul(2).add(1).float()", "x * 2", "2 ** x"]
POPULATION, GENERATIONS = 6, 2
FAULTS_OF_OTHERS = (
    "device",
    "harness",
)  # they say nothing about a candidate: no reward, neither good nor bad


def write_candidate(rewards):
    """The policy: now and then something new, else the best so far."""
    if not rewards or random.random() < 0.7:
        return random.choice(PIECES)
    return max(rewards, key=rewards.get)


def job(expression, generation, sample):
    tensor = {"shape": [64, 1024], "dtype": "float32"}
    return {
        "labels": {"generation": str(generation), "sample": str(sample)},
        "reference": {"kernel_type": "torch", "source_code": REFERENCE},
        "candidate": {"kernel_type": "torch", "source_code": f"def f(x):\n    return {expression}\n"},
        "io": {"args": [{"name": "x", "type": "tensor", "tensor_spec": tensor}]},
        "evaluation": {"num_correct_trials": 2, "num_trials": 20},
    }


def reward(result):
    if not result.passed:
        return 0.0
    return result.speedup if result.significant else 1.0


def main(spool):
    rewards = {}
    with Client(spool, owner="training") as client:
        for generation in range(GENERATIONS):
            drawn = [write_candidate(rewards) for _ in range(POPULATION)]
            jobs = {client.submit(job(code, generation, n)): code for n, code in enumerate(drawn)}
            for done in as_completed(jobs, timeout=600):
                result = done.result()
                if result.blame not in FAULTS_OF_OTHERS:
                    rewards[jobs[done]] = reward(result)
                    print(
                        f"{generation} {result.status:18} {rewards[jobs[done]]:5.2f}  {jobs[done]}",
                        flush=True,
                    )


if __name__ == "__main__":
    main(sys.argv[1])
