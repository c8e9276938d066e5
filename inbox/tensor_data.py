"""Literal tensor content: bytes within the manifest, or a file beside it."""

import base64
import binascii
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from kbd.inbox.allowance import MAX_LITERAL_BYTES, may_unpack
from kbd.inbox.dtypes import DType
from kbd.inbox.errors import InboxError, Problem
from kbd.inbox.sizes import NonNegative
from kbd.inbox.validation import StrictModel, collect

MAX_RANK = 32

_FILE_PATTERN = re.compile(r"[^#]+\.npy|[^#]+\.safetensors#.+", re.DOTALL)


class BadTensorBytes(InboxError):
    """Literal data that is not what its contract says."""


class TensorData(StrictModel):
    """Content given by its user, in C order (row-major), little-endian.

    Attributes:
        data_b64: the raw bytes, perhaps compressed, in base64.
        file: instead of that, `x.npy` or `x.safetensors#key`, relative to the job's folder.
        dtype: of the bytes; None is the dtype of the tensor.
        shape: of the bytes; None is the shape of the tensor.
        compress: what was applied to the bytes before base64.
    """

    data_b64: str | None = None
    file: Annotated[str, Field(min_length=1, max_length=1024)] | None = None
    dtype: DType | None = None
    shape: Annotated[tuple[NonNegative, ...], Field(max_length=MAX_RANK)] | None = None
    compress: Literal["none", "zlib", "zstd"] = "none"

    @model_validator(mode="after")
    def _check(self) -> Self:
        collect(self._problems())
        return self

    def _problems(self) -> Iterator[Problem | None]:
        if (self.data_b64 is None) == (self.file is None):
            found = "neither" if self.file is None else "both"
            yield Problem("", "literal data has one source", "either data_b64 or file", found)
        if self.file is not None and not _FILE_PATTERN.fullmatch(self.file):
            yield Problem("/file", "wrong kind of file", "NAME.npy or NAME.safetensors#KEY", self.file)
        if self.file is not None and self.compress != "none":
            yield Problem("/compress", "a file is read as it is", "none", self.compress, "remove compress")
        if self.data_b64 is not None and self.dtype is not None and self.shape is not None:
            yield self.content_problem(self.shape, self.dtype)

    @property
    def file_name(self) -> str | None:
        """The name of the file without the key that follows it."""
        return None if self.file is None else self.file.partition("#")[0]

    def content_problem(self, shape: Sequence[int], dtype: DType) -> Problem | None:
        """Why the bytes are no tensor of this shape and dtype; None where they are, or lie in a file."""
        if self.data_b64 is None:
            return None
        size_bytes = math.prod(shape) * dtype.itemsize
        if self.compress != "none" and not may_unpack(size_bytes):
            expected = f"at most {MAX_LITERAL_BYTES} bytes of compressed data in a manifest"
            return Problem("/data_b64", "too much literal data", expected, "more", "put it into files")
        try:
            self.read_bytes(size_bytes)
        except BadTensorBytes as error:
            shown_shape = "x".join(map(str, shape)) or "a scalar"
            return Problem("/data_b64", f"the bytes are no tensor of {shown_shape} {dtype}: {error}")
        return None

    def read_bytes(self, expected_bytes: int) -> bytes:
        """The literal bytes, decoded and decompressed; never unpacks more than expected.

        Raises BadTensorBytes where they are not exactly `expected_bytes`, or cannot be decoded.
        """
        if self.data_b64 is None:
            raise BadTensorBytes("the content lies in a file")
        if expected_bytes > MAX_LITERAL_BYTES:
            raise BadTensorBytes(f"{expected_bytes} bytes, over {MAX_LITERAL_BYTES}; put them into a file")
        try:
            packed = base64.b64decode(self.data_b64, validate=True)
        except (binascii.Error, ValueError) as error:
            raise BadTensorBytes(f"no base64: {error}") from None
        data = _unpack(packed, self.compress, expected_bytes)
        if len(data) != expected_bytes:
            found = f"more than {expected_bytes}" if len(data) > expected_bytes else str(len(data))
            raise BadTensorBytes(f"expected {expected_bytes} bytes, found {found}")
        return data


def _unpack(packed: bytes, compress: str, expected_bytes: int) -> bytes:
    """At most one byte more than expected, so that a bomb stays small."""
    if compress == "none":
        return packed
    if compress == "zlib":
        try:
            return zlib.decompressobj().decompress(packed, expected_bytes + 1)
        except zlib.error as error:
            raise BadTensorBytes(f"zlib: {error}") from None
    try:
        import zstandard
    except ImportError:
        raise BadTensorBytes("zstd needs the package zstandard beside the daemon; use zlib") from None
    try:
        with zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(packed) as reader:
            return bytes(reader.read(expected_bytes + 1))
    except (zstandard.ZstdError, MemoryError) as error:
        raise BadTensorBytes(f"zstd: {error}") from None
