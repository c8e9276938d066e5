"""What is told of data files before a job is judged is what its judge would say."""

import numpy as np
import pytest
import torch

from kbd.daemon.judge.draw import BadData, draw
from kbd.inbox.data_agreement import data_file_disagreements
from kbd.inbox.job_file import read_job

JOB = """\
candidate: {{kernel_type: torch, source_code: "def f(x): return x"}}
io:
  args:
    - {{name: x, type: tensor, tensor_spec: {{shape: {shape}, dtype: {dtype}, data: {{file: {file}}}}}}}
{more}
"""


@pytest.fixture
def job(tmp_path):
    def make(array, shape="[2, 3]", dtype="float32", file="x.npy", more=""):
        folder = tmp_path / "a.job"
        folder.mkdir()
        (folder / "job.yaml").write_text(JOB.format(shape=shape, dtype=dtype, file=file, more=more))
        if isinstance(array, bytes):
            (folder / file.partition("#")[0]).write_bytes(array)
        else:
            np.save(folder / file, array)
        return read_job(folder)

    return make


def judged(job):
    """Whether the judge takes the data, for each workload."""
    for workload in job.manifest.bound_workloads():
        tensor = workload.contract.args[0].tensor
        try:
            draw(tensor, 0, torch.device("cpu"), job.folder)
        except BadData:
            return False
    return True


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 3), np.float32), None),
        (np.asfortranarray(np.zeros((2, 3), np.float32)), None),
        (np.zeros((3, 2), np.float32), "expected data of shape [2, 3], found [3, 2]"),
        (np.zeros(6, np.float32), "expected data of shape [2, 3], found [6]"),
        (np.zeros((2, 3)), "expected data of dtype float32, found float64"),
        (np.zeros((2, 3), ">f4"), "expected data of dtype float32, found >f4"),
        (b"garbage", "data file 'x.npy' cannot be read: expected a .npy file"),
    ],
    ids=["right", "Fortran order", "turned", "flat", "dtype", "big-endian", "garbage"],
)
def test_it_says_what_a_judge_says(job, array, said):
    made = job(array)
    problems = list(data_file_disagreements(made))
    assert judged(made) == (not problems) == (said is None)
    if said:
        (problem,) = problems
        assert problem.pointer == "/io/args/0/tensor_spec/data/file"
        assert said in str(problem)
        assert str(problem).endswith("; correct the data of this argument")


def test_one_workload_of_two(job):
    more = "workloads: [{name: small, axes: {N: 3}}, {name: large, axes: {N: 4}}]"
    made = job(np.zeros((2, 3), np.float32), shape="[2, N]", more=more)
    (problem,) = data_file_disagreements(made)
    assert "in workload large: expected data of shape [2, 4], found [2, 3]" in str(problem)
    assert not judged(made)


def test_a_tensor_that_is_not_in_the_file(job):
    from safetensors.torch import save

    made = job(save({"w": torch.zeros(2, 3)}), file="x.safetensors#v")
    (problem,) = data_file_disagreements(made)
    assert "expected a tensor 'v' in it, found 'w'" in str(problem)
    assert not judged(made)


def test_a_job_without_data_files(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("candidate: {kernel_type: torch, source_code: x}\n")
    assert list(data_file_disagreements(read_job(path))) == []
