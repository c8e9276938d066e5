"""Launches are seen on inputs of the workload that was just run, wherever these lie and however few there were."""

JOB = """
version: 1
id: job-{number}
candidate:
  kernel_type: triton
  source_code: |
    import triton
    import triton.language as tl

    @triton.jit
    def double(x_ptr, y_ptr, n, BLOCK: tl.constexpr):  # {number}
        offsets = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + offsets, mask=offsets < n)
        tl.store(y_ptr + offsets, x + x, mask=offsets < n)
io:
  args:
    - {{name: x_ptr, type: tensor, tensor_spec: {{shape: [N], dtype: float32}}}}
    - {{name: y_ptr, type: tensor, role: output, tensor_spec: {{shape: [N], dtype: float32}}}}
    - {{name: n, type: int, value: N}}
    - {{name: BLOCK, type: int, value: 64, is_meta: true}}
  launch: {{grid: "ceildiv(n, BLOCK)"}}
workloads:
  - {{name: one, axes: {{N: 64}}}}
  - {{name: four, axes: {{N: 256}}}}
evaluation: {{num_correct_trials: 1, num_trials: 2}}
"""
JOBS = 4  # whether inputs lie where they happened to be looked for is drawn by lot for each


def test_of_every_workload_of_a_candidate_that_is_tried_once(make_daemon):
    daemon = make_daemon()
    for number in range(JOBS):
        daemon.deliver(f"job-{number}.yaml", JOB.format(number=number))
    daemon.run_once()
    for result in daemon.results().values():
        assert (result["status"], result["notes"]) == ("passed", [])
        launches = [workload["performance"]["launches"] for workload in result["workloads"]]
        assert [[launch["grid"] for launch in of_one] for of_one in launches] == [[[1, 1, 1]], [[4, 1, 1]]]
    assert len(daemon.results()) == JOBS
