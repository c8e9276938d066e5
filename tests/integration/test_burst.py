"""A thousand files at once (twenty thousand with `KBD_BURST=20`), of every kind: each gets exactly one answer."""

import json
import os
import time
from collections import Counter

import pytest

GOOD = """
version: 1
candidate: {kernel_type: torch, source_code: "def same(x):\\n    return x"}
io: {args: [{name: x, type: tensor, tensor_spec: {shape: [4], dtype: float32}}]}
evaluation: {num_correct_trials: 1, mode: correctness}
"""
KINDS = {
    "good": (GOOD, "passed"),
    "planned": (GOOD.replace("kernel_type: torch", "kernel_type: metal"), "unsupported"),
    "broken": ("version: 1\ncandidate: {kernel_type: torch\nio: ]\n", "invalid_job"),
    "surplus": (GOOD + "colour: blue\n", "invalid_job"),
    "listed": ("- not\n- a job\n", "invalid_job"),
    "empty": ("version: 1\n", "invalid_job"),
}
THOUSANDS = int(os.environ.get("KBD_BURST", "1"))
FEW, MANY = 30, 194 * THOUSANDS
SHARES = {"good": FEW, "planned": MANY, "broken": MANY, "surplus": MANY, "listed": MANY, "empty": MANY}
LIMIT_S = 200
BURST_LIMIT_S = 280 * THOUSANDS


@pytest.mark.timeout(BURST_LIMIT_S + 20)
@pytest.mark.fault("thousands of jobs at once")
@pytest.mark.fault("a manifest is ambiguous or has unknown fields")
def test_a_thousand_files_dropped_at_once(daemon):
    for kind, count in SHARES.items():
        for number in range(count):
            daemon.deliver(f"{kind}-{number}.yaml", KINDS[kind][0])

    daemon.run_once(limit_s=BURST_LIMIT_S)

    results = daemon.results()
    assert len(results) == sum(SHARES.values())
    found = Counter((name.rsplit("-", 1)[0], result["status"]) for name, result in results.items())
    assert found == {(kind, KINDS[kind][1]): count for kind, count in SHARES.items()}
    assert list(daemon.spool.inbox.iterdir()) == []
    reasons = {path.name for path in daemon.spool.quarantine.glob("*.reason.json")}
    assert len(reasons) == sum(SHARES[kind] for kind in ("broken", "surplus", "listed", "empty"))
    assert "/colour" in results["surplus-0"]["error"]["message"]
    reason = json.loads((daemon.spool.quarantine / "surplus-0.yaml.reason.json").read_text())
    assert "colour" in json.dumps(reason)


@pytest.mark.xdist_group("standing")
@pytest.mark.fault("the same job is delivered again")
@pytest.mark.fault("another job has the same id")
def test_the_same_job_twice_runs_once_and_another_under_its_id_is_kept_apart(standing):
    def deliver(text, outcome):
        standing.deliver("twin.yaml", text)
        deadline = time.monotonic() + LIMIT_S
        while not outcome():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def actions(name):
        records = [record for record in standing.log() if record.get("job") == "twin"]
        return [record for record in records if record["action"] == name]

    result = standing.spool.outbox / "twin.json"
    deliver(GOOD, result.exists)
    first = result.read_bytes()
    deliver(GOOD, lambda: len(actions("published")) == 2)
    reason = standing.spool.quarantine / "twin.yaml.reason.json"
    deliver(GOOD.replace("[4]", "[5]"), reason.exists)
    assert result.read_bytes() == first
    assert len(actions("attempt")) == 1
    assert "id_conflict" in reason.read_text()
