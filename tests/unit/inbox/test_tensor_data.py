import base64
import sys
import zlib

import pytest

from kbd.inbox.dtypes import DType
from kbd.inbox.errors import InvalidJob
from kbd.inbox.tensor_data import MAX_LITERAL_BYTES, BadTensorBytes, TensorData
from kbd.inbox.validation import validate

RAW = bytes(range(24))


def packed(data: bytes, compress: str = "none") -> str:
    if compress == "zlib":
        data = zlib.compress(data)
    elif compress == "zstd":
        data = pytest.importorskip("zstandard", reason="zstandard is optional").compress(data)
    return base64.b64encode(data).decode()


@pytest.mark.parametrize("compress", ["none", "zlib", "zstd"])
def test_bytes_are_unpacked(compress):
    data = TensorData(data_b64=packed(RAW, compress), compress=compress, dtype=DType.FLOAT32, shape=(2, 3))
    assert data.read_bytes(24) == RAW


@pytest.mark.parametrize("compress", ["none", "zlib", "zstd"])
@pytest.mark.parametrize(("expected", "found"), [(20, "found more than 20"), (28, "found 24")])
def test_bytes_must_fit(compress, expected, found):
    data = TensorData(data_b64=packed(RAW, compress), compress=compress)
    with pytest.raises(BadTensorBytes, match=found):
        data.read_bytes(expected)


def test_a_bomb_is_not_unpacked():
    bomb = TensorData(data_b64=packed(bytes(50_000_000), "zlib"), compress="zlib")
    with pytest.raises(BadTensorBytes, match="found more than 4"):
        bomb.read_bytes(4)


def test_literal_data_is_bounded():
    with pytest.raises(BadTensorBytes, match="put them into a file"):
        TensorData(data_b64="").read_bytes(MAX_LITERAL_BYTES + 1)


def test_zstd_without_its_package_says_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(BadTensorBytes, match="use zlib"):
        TensorData(data_b64="AAAA", compress="zstd").read_bytes(3)


@pytest.mark.parametrize("compress", ["zlib", "zstd"])
def test_what_is_not_compressed_is_refused(compress):
    if compress == "zstd":
        pytest.importorskip("zstandard", reason="zstandard is optional")
    with pytest.raises(BadTensorBytes, match=compress):
        TensorData(data_b64=packed(RAW), compress=compress).read_bytes(24)


@pytest.mark.parametrize(
    ("document", "pointer", "message"),
    [
        ({}, "", "expected either data_b64 or file, found neither"),
        ({"data_b64": "", "file": "x.npy"}, "", "found both"),
        ({"file": "x.txt"}, "/file", "NAME.npy or NAME.safetensors#KEY"),
        ({"file": "x.safetensors"}, "/file", "NAME.safetensors#KEY"),
        ({"file": "x.npy", "compress": "zlib"}, "/compress", "remove compress"),
        ({"data_b64": "?", "dtype": "int8", "shape": [1]}, "/data_b64", "no base64"),
        ({"data_b64": "AAAA", "dtype": "float32", "shape": [2]}, "/data_b64", "expected 8 bytes, found 3"),
        ({"data_b64": "", "shape": [-1]}, "/shape/0", "at least 0"),
        ({"data_b64": "", "compress": "gzip"}, "/compress", "'none', 'zlib' or 'zstd'"),
    ],
)
def test_refused(document, pointer, message):
    with pytest.raises(InvalidJob, match=message) as caught:
        validate(TensorData, document)
    assert [problem.pointer for problem in caught.value.problems] == [pointer]


@pytest.mark.parametrize(("file", "name"), [("a/x.npy", "a/x.npy"), ("x.safetensors#w#1", "x.safetensors")])
def test_the_name_of_the_file(file, name):
    assert validate(TensorData, {"file": file}).file_name == name


def test_a_file_has_no_bytes_here():
    with pytest.raises(BadTensorBytes, match="lies in a file"):
        TensorData(file="x.npy").read_bytes(1)
