"""Limits are lowered, never raised; in a child, because there is no way back."""

import json
import resource
import subprocess
import sys

CODE = """
import json, resource, sys
from kbd.daemon.executor.sandbox.plan import Bounds
from kbd.daemon.executor.sandbox.resource_limits import limit_private_memory, limit_processes, limit_resources
if sys.argv[2] != "-":
    resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[2]), int(sys.argv[2])))
bounds = Bounds.model_validate_json(sys.argv[1])
limit_resources(bounds)
limit_private_memory(bounds.memory_bytes)
limit_processes(4000)
names = ("CORE", "FSIZE", "NOFILE", "DATA", "NPROC", "AS")
print(json.dumps({name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}))
"""


def limits(bounds="{}", files="-"):
    command = [sys.executable, "-c", CODE, bounds, files]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_everything_is_bounded_but_the_address_space():
    found = limits('{"folder_bytes": 4096, "temporary_bytes": 1, "shared_memory_bytes": 1, "open_files": 99}')
    assert found["CORE"] == [0, 0]
    assert found["FSIZE"] == [4096, 4096]
    assert found["NOFILE"] == [99, 99]
    assert found["NPROC"] == [4000, 4000]
    assert found["AS"] == list(resource.getrlimit(resource.RLIMIT_AS))


def test_a_lower_limit_stays():
    assert limits(files="77")["NOFILE"] == [77, 77]


def test_private_memory_is_bounded_where_there_is_a_bound():
    bytes_ = 8 << 30
    assert limits(f'{{"memory_bytes": {bytes_}}}')["DATA"] == [bytes_, bytes_]
    assert limits()["DATA"] == list(resource.getrlimit(resource.RLIMIT_DATA))
