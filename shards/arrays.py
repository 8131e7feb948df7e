"""Arrays as `.npy` and `.npz` bytes: reproducible when written, checked when read."""

import io
import math
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date in the zip format, written for every member."""
UNREADABLE = (ValueError, EOFError, SyntaxError, tokenize.TokenError, OverflowError)
"""The errors of numpy for broken headers. ValueError includes invalid UTF-8."""
MEMBER = struct.Struct("<4s2xHH4xLLLHH")
"""The header of a zip member: signature, flags, method, CRC-32, stored bytes, bytes, lengths of name and extras."""
MEMBER_BEGINS, DIRECTORY_BEGINS = b"PK\3\4", b"PK\1\2"


class BadArray(ValueError):
    """Bytes are not the expected array. The message says what was expected and what was got."""


def npy_bytes(array: NDArray[Any]) -> bytes:
    """Encode an array as a `.npy` file of version 1.0. Raises ValueError for an array of Python objects."""
    stream = io.BytesIO()
    # Version 1.0 always: numpy's choice depends on the array, and readers here accept a single version.
    npy.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def read_npy(data: bytes, shape: tuple[int | None, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Decode `.npy` bytes of exactly `shape` (None is any length) and `dtype`. Raises BadArray for anything else.

    Shape and type are compared with the length of the data before memory is allocated. Pickled objects are refused.
    """
    # Version 1.0 has the header's length in bytes 8 and 9.
    begin = 10 + int.from_bytes(data[8:10], "little")
    try:
        got_shape, fortran_order, got_dtype = _header(data[:begin])
    except BadArray:  # a ValueError with a complete message
        raise
    except UNREADABLE as error:
        raise BadArray(f"expected a .npy file, got: {error}") from None
    expected = np.dtype(dtype)
    same_shape = len(got_shape) == len(shape) and all(
        want is None or want == got for want, got in zip(shape, got_shape, strict=True)
    )
    # Fortran order would be read as transposed values.
    if got_dtype != expected or not same_shape or fortran_order:
        wanted = "×".join("n" if want is None else str(want) for want in shape)
        raise BadArray(f"expected {expected} of shape {wanted}, got {got_dtype} of shape {got_shape}")
    if len(data) - begin != math.prod(got_shape) * expected.itemsize:
        raise BadArray(f"expected the {got_shape} values that its header promises, got {len(data) - begin} bytes")
    # Without a copy: every sample of a stream passes through here.
    return np.frombuffer(data, expected, offset=begin).reshape(got_shape)


@lru_cache(maxsize=64)
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Parse a `.npy` header as (shape, Fortran order, dtype). Cached: the samples of a dataset share few headers."""
    stream = io.BytesIO(data)
    version = npy.read_magic(stream)
    if version != (1, 0):
        raise BadArray(f"expected a .npy file of version 1.0, got {version[0]}.{version[1]}")
    shape, fortran_order, dtype = npy.read_array_header_1_0(stream)
    return shape, fortran_order, dtype


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Encode arrays as an uncompressed `.npz` file, sorted by name. Dates and machine leave no trace in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            # Unix, on every platform: the bytes must not depend on the machine.
            info.create_system = 3
            archive.writestr(info, npy_bytes(arrays[name]))
    return stream.getvalue()


def npz_members(data: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    """Split a file of `npz_bytes` into the `.npy` bytes of exactly these `names`. Raises BadArray for anything else."""
    members: dict[str, bytes] = {}
    offset = 0
    while data.startswith(MEMBER_BEGINS, offset):
        try:
            name, member, offset = _member(data, offset)
        except (struct.error, UnicodeDecodeError) as error:
            raise BadArray(f"expected an .npz file, got at byte {offset}: {error}") from None
        if name in members:
            raise BadArray(f"expected the arrays {', '.join(names)}, got {name} twice")
        members[name] = member
    # The directory follows the last member at once. Other bytes in between would go unchecked.
    if not data.startswith(DIRECTORY_BEGINS, offset):
        raise BadArray(f"expected an .npz file, got no directory at byte {offset}")
    if set(members) != {f"{name}.npy" for name in names}:
        raise BadArray(f"expected the arrays {', '.join(names)}, got {', '.join(sorted(members))}")
    return {name: members[f"{name}.npy"] for name in names}


def _member(data: bytes, offset: int) -> tuple[str, bytes, int]:
    """Read a member of an uncompressed zip as (name, bytes, end). Raises struct.error at the end of the data."""
    # zipfile takes ten times as long, and there is such a file in every sample.
    _, flags, method, crc, stored, size, name_length, extras = MEMBER.unpack_from(data, offset)
    begin = offset + MEMBER.size + name_length
    name, end = data[offset + MEMBER.size : begin].decode(), begin + size
    if flags or method != zipfile.ZIP_STORED or stored != size or extras:
        got = f"method {method}, flags {flags}, {stored} bytes for {size}, {extras} bytes of extras"
        raise BadArray(f"expected an uncompressed .npz of this program, got {got}")
    member = data[begin:end]
    if len(member) != size or zlib.crc32(member) != crc:
        raise BadArray(f"{name!r}: expected {size} bytes with its checksum, got others")
    return name, member, end
