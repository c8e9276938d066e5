"""A thousand files at once, of every kind: each gets exactly one answer."""

import json
from collections import Counter

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
SHARES = {"good": 60, "planned": 188, "broken": 188, "surplus": 188, "listed": 188, "empty": 188}


def test_a_thousand_files_dropped_at_once(daemon):
    for kind, count in SHARES.items():
        for number in range(count):
            daemon.deliver(f"{kind}-{number}.yaml", KINDS[kind][0])
    assert sum(SHARES.values()) == 1000

    daemon.run_once()

    results = daemon.results()
    assert len(results) == 1000
    found = Counter((name.rsplit("-", 1)[0], result["status"]) for name, result in results.items())
    assert found == {(kind, KINDS[kind][1]): count for kind, count in SHARES.items()}
    assert list(daemon.spool.inbox.iterdir()) == []
    reasons = {path.name for path in daemon.spool.quarantine.glob("*.reason.json")}
    assert len(reasons) == sum(SHARES[kind] for kind in ("broken", "surplus", "listed", "empty"))


def test_every_reason_says_where_and_what_to_do(daemon):
    daemon.deliver("surplus.yaml", KINDS["surplus"][0])
    daemon.run_once()
    error = daemon.results()["surplus"]["error"]
    assert "/colour" in error["message"]
    reason = json.loads((daemon.spool.quarantine / "surplus.yaml.reason.json").read_text())
    assert "colour" in json.dumps(reason)


def test_the_same_job_twice_runs_once_and_another_under_its_id_is_kept_apart(daemon):
    daemon.deliver("twin.yaml", GOOD)
    daemon.run_once()
    first = (daemon.spool.outbox / "twin.json").read_bytes()
    daemon.deliver("twin.yaml", GOOD)
    daemon.run_once()
    daemon.deliver("twin.yaml", GOOD.replace("[4]", "[5]"))
    daemon.run_once()
    assert (daemon.spool.outbox / "twin.json").read_bytes() == first
    attempts = [record for record in daemon.log() if record.get("action") == "attempt"]
    assert len(attempts) == 1
    assert "id_conflict" in (daemon.spool.quarantine / "twin.yaml.reason.json").read_text()
