"""What is fuzzed: functions that take anything a stranger may have written, and raise nothing but refusals."""

import asyncio
import base64
import contextlib
import io
import json
import socket
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
import yaml
import zstandard
from hypothesis import strategies as st

from kbd.daemon.executor.async_channel import AsyncChannel
from kbd.daemon.executor.channel import HEADER, RUNNER_FRAME_BYTES, Channel, ChannelError, decode
from kbd.daemon.executor.compiler_protocol import FromCompiler
from kbd.daemon.executor.protocol import FromJudge, FromNursery
from kbd.daemon.executor.runner_protocol import FromNewRunner, FromRunner
from kbd.daemon.judge.draw import BadData, read_data
from kbd.daemon.operation import heartbeat
from kbd.daemon.ownership import StateLock, running_daemon
from kbd.inbox.axes import AxisError, AxisExpression
from kbd.inbox.bound_contract import BoundTensor
from kbd.inbox.client.errors import UnreadableResult as UnreadableByClient
from kbd.inbox.client.received import ReceivedResult
from kbd.inbox.contract import IOContract
from kbd.inbox.control import Answer, read_request
from kbd.inbox.daemon_signs import SnapshotWatch
from kbd.inbox.dtypes import DType
from kbd.inbox.errors import InboxError, InvalidJob, TruncatedDocument
from kbd.inbox.formats.registry import parse_manifest
from kbd.inbox.job_file import read_job
from kbd.inbox.lease import LeaseWatch, find_lease
from kbd.inbox.manifest import JobManifest
from kbd.inbox.pause import read_pause
from kbd.inbox.quarantine_contents import QuarantineContents
from kbd.inbox.safe_load import check_end, load_document, load_json
from kbd.inbox.spool import Spool
from kbd.inbox.tensor_data import BadTensorBytes, TensorData
from kbd.inbox.validation import validate
from kbd.outbox.errors import UnreadableResult
from kbd.outbox.result import JobResult
from tests.fuzz.documents import CONTRACTS, JOBS, changed
from tests.fuzz.forging import ELSE, HONEST, LIES, judged

MOST_CPU_S = 1.0
MOST_TOLD_CHARS = 4 << 20


class TooMuch(AssertionError):
    """It was read or refused, and cost more than it may."""


@dataclass(frozen=True)
class Target:
    """One thing to fuzz: `check` gets what `inputs` makes; bytes where there are `seeds` to begin with."""

    check: Callable[[Any], None]
    inputs: st.SearchStrategy[Any]
    seeds: Sequence[bytes] = ()


@contextlib.contextmanager
def within_limits(*refusals):
    """A second of CPU for one input, and a refusal that can be written into a file."""
    started = time.thread_time()
    try:
        yield
    except refusals as error:
        told = sum(len(str(problem)) for problem in getattr(error, "problems", ())) + len(str(error))
        str(error).encode()
        if told > MOST_TOLD_CHARS:
            raise TooMuch(f"a refusal of {told} characters") from error
    took = time.thread_time() - started
    if took > MOST_CPU_S:
        raise TooMuch(f"{took:.1f} s of CPU")


def manifest_of(document):
    """A manifest that is accepted can be bound, written down, and read again."""
    manifest = parse_manifest(document, default_id="job")
    for role in ("reference", "candidate"):
        manifest.bound_workloads(role)
    assert validate(JobManifest, json.loads(manifest.model_dump_json())) == manifest


def yaml_manifests(data):
    with within_limits(InboxError):
        manifest_of(load_document(data, ".yaml").value)


def json_manifests(data):
    with within_limits(InboxError):
        manifest_of(load_document(data, ".json").value)


def delivered_files(data):
    """The whole way of a file, which adds lines to what is wrong."""
    suffix = ".json" if data[:1] in (b"{", b"[") else ".yaml"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"job{suffix}"
        path.write_bytes(data)
        with within_limits(InboxError):
            read_job(path)


def ends_of_documents(data):
    """Who only looks whether a document is whole finds what reading it finds."""
    for suffix in (".yaml", ".json"):
        with within_limits():
            read, looked = _refusal_of(load_document, data, suffix), _refusal_of(check_end, data, suffix)
        assert read is not TruncatedDocument or looked is TruncatedDocument
        assert looked is not TruncatedDocument or read is not None


def _refusal_of(reader, data, suffix):
    try:
        reader(data, suffix)
    except InvalidJob as refusal:
        return type(refusal)
    return None


def job_documents(document):
    with within_limits(InboxError):
        manifest_of(load_json(json.dumps(document)))


def contracts(given):
    document, axes = given
    with within_limits(InboxError):
        bound = validate(IOContract, load_json(json.dumps(document))).bind(axes)
        assert all(tensor.extent >= 0 for arg in bound.tensors if (tensor := arg.tensor))


def expressions(given):
    text, axes = given
    with within_limits(AxisError):
        AxisExpression.parse(text).evaluate(axes)


def literal_data(given):
    text, compress, expected = given
    with within_limits(BadTensorBytes):
        assert len(TensorData(data_b64=text, compress=compress).read_bytes(expected)) == expected


def _npy():
    file = io.BytesIO()
    np.save(file, np.zeros((2, 3), dtype=np.float32))
    return file.getvalue()


def _safetensors():
    return safetensors.torch.save({"x": torch.zeros(2, 3)})


FILE = BoundTensor(shape=(2, 3), dtype=DType.FLOAT32)


def data_files(data):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.npy", "x.safetensors"):
            (Path(folder) / name).write_bytes(data)
        for file in ("x.npy", "x.safetensors#x"):
            with within_limits(BadData):
                read_data(TensorData(file=file), FILE, Path(folder))


CHANNELS = (FromRunner, FromNewRunner, FromCompiler, FromJudge, FromNursery)


def frames(data):
    """A runner's end of a channel says this and hangs up."""
    for adapter in CHANNELS:
        with within_limits(ChannelError):
            decode(adapter, data)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with within_limits(ChannelError):
            Channel(ours, FromRunner, RUNNER_FRAME_BYTES).receive(1.0)


def frames_for_the_daemon(data):
    async def receive(sock):
        await AsyncChannel(sock, FromCompiler).receive()

    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with within_limits(ChannelError):
            asyncio.run(receive(ours))


def results(data):
    """What the command line and clients read from an outbox."""
    with within_limits(UnreadableResult):
        result = JobResult.from_json(data)
        assert JobResult.from_json(result.model_dump_json()) == result
    with within_limits(UnreadableByClient):
        received = ReceivedResult.from_json(data)
        assert received.message is None or received.message


def files_of_a_spool(data):
    """Whatever lies where another version, another program or a broken disk may have written."""
    with tempfile.TemporaryDirectory() as folder:
        spool = Spool.create(Path(folder) / "spool")
        places = [spool.status_file, spool.pause_file, spool.lease / "000001.json", spool.control / "x.json"]
        places += [spool.quarantine / "x.yaml", spool.quarantine / "x.yaml.reason.json"]
        for path in places:
            path.write_bytes(data)
        with within_limits():
            SnapshotWatch(spool).look()
            read_pause(spool)
            found = find_lease(spool)
            LeaseWatch(1.0, time.monotonic, 1.0).is_silent(found)
            assert found.holder
            QuarantineContents(spool).all()
        with within_limits(InboxError):
            read_request(spool.control / "x.json")
        with within_limits(InboxError):
            validate(Answer, load_json(data))


def files_of_a_state_folder(data):
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder)
        (state / heartbeat.NAME).write_bytes(data)
        lock = StateLock(state / "daemon.lock")
        lock.acquire({})
        (state / "daemon.json").write_bytes(data)
        with within_limits():
            heartbeat.read(state)
            running_daemon(state)
        lock.release()


def lying_runners(lies):
    """Whatever they say there is a verdict, and one that can be written down."""
    judged(lies)


def _text(documents):
    return [json.dumps(document).encode() for document in documents]


TEXTS = st.binary(max_size=200) | changed(JOBS).map(lambda document: json.dumps(document).encode())
AXES = st.dictionaries(st.sampled_from(["M", "N", "K"]), st.integers(0, 1 << 41), max_size=3)
EXPRESSIONS = st.text("MN019+-*/%(), maxceildiv", max_size=40)
PACKED = st.binary(max_size=40).flatmap(
    lambda raw: st.sampled_from([raw, zlib.compress(raw), zlib.compress(raw)[:-3], zstandard.compress(raw)])
)
FRAMES = st.binary(max_size=60) | st.sampled_from([*HONEST.values(), *ELSE]).map(
    lambda answer: answer.model_dump(mode="json")
).flatmap(lambda document: changed([document])).map(lambda document: json.dumps(document).encode())
RESULT = (Path(__file__).parents[1] / "unit" / "outbox" / "golden" / "result.json").read_bytes()
ANSWERS = [answer.model_dump_json().encode() for answer in (*HONEST.values(), *ELSE)]
SAID = [
    {
        "daemon": {"pid": 1, "host": "h"},
        "queue": {"submitted": 1},
        "devices": [{}],
        "running": [{}],
        "paused": "x",
    },
    {
        "version": 1,
        "token": "t",
        "state": "s",
        "host": "h",
        "pid": 1,
        "place": "p",
        "born": 1,
        "lease_s": 1.0,
        "beat": 0,
    },
    {"version": 1, "by": "me", "reason": "why", "since": "now"},
    {"version": 1, "verb": "rerun", "job_id": "a", "seed": 3},
    {"version": 1, "code": "done", "message": "m"},
    {"name": "x.yaml", "code": "invalid_job", "problems": [{"pointer": "/a", "message": "m", "line": 3}]},
    {"pid": 1, "boot": "b", "beat_s": 1.0, "ready": True, "status": "fine", "host": "h", "spool": "/s"},
]
FRAMED = st.binary(max_size=40) | FRAMES.map(lambda body: HEADER.pack(len(body)) + body)

TARGETS = {
    "yaml_manifests": Target(yaml_manifests, TEXTS, [yaml.safe_dump(job).encode() for job in JOBS]),
    "json_manifests": Target(json_manifests, TEXTS, _text(JOBS)),
    "delivered_files": Target(delivered_files, TEXTS, _text(JOBS)),
    "ends_of_documents": Target(ends_of_documents, TEXTS, _text(JOBS)),
    "job_documents": Target(job_documents, changed(JOBS)),
    "contracts": Target(contracts, st.tuples(changed(CONTRACTS), AXES)),
    "expressions": Target(expressions, st.tuples(EXPRESSIONS, AXES)),
    "literal_data": Target(
        literal_data,
        st.tuples(
            PACKED.map(lambda raw: base64.b64encode(raw).decode()) | st.text(max_size=20),
            st.sampled_from(["none", "zlib", "zstd"]),
            st.integers(0, 60) | st.sampled_from([1 << 20, 64 << 20, 1 << 70]),
        ),
    ),
    "data_files": Target(data_files, st.binary(max_size=200), [_npy(), _safetensors()]),
    "frames": Target(frames, FRAMED, [HEADER.pack(len(answer)) + answer for answer in ANSWERS]),
    "frames_for_the_daemon": Target(
        frames_for_the_daemon, FRAMED, [HEADER.pack(len(answer)) + answer for answer in ANSWERS]
    ),
    "lying_runners": Target(lying_runners, LIES),
    "results": Target(
        results,
        st.binary(max_size=50) | changed([json.loads(RESULT)]).map(lambda each: json.dumps(each).encode()),
        [RESULT],
    ),
    "files_of_a_spool": Target(
        files_of_a_spool, changed(SAID).map(lambda each: json.dumps(each).encode()), _text(SAID)
    ),
    "files_of_a_state_folder": Target(
        files_of_a_state_folder, changed(SAID).map(lambda each: json.dumps(each).encode()), _text(SAID)
    ),
}
