"""Arrays as `.npy` and `.npz` bytes: the same bytes for the same values, and read without trusting what they claim."""

import io
import tokenize
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest date a zip archive can hold; ours hold no other."""
UNREADABLE = (ValueError, EOFError, SyntaxError, tokenize.TokenError, OverflowError)
"""What numpy and zipfile raise for headers that make no sense; ValueError includes text that is no UTF-8."""


class BadArray(ValueError):
    """Bytes that are not the array they should be; says what was expected and what was got."""


def npy_bytes(array: NDArray[Any]) -> bytes:
    """An array as the bytes of a version 1.0 `.npy` file. Raises ValueError for an array of Python objects."""
    stream = io.BytesIO()
    npy.write_array(stream, np.ascontiguousarray(array), version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def read_npy(data: bytes, shape: tuple[int | None, ...], dtype: DTypeLike) -> NDArray[Any]:
    """The array in `.npy` bytes, of exactly `shape` (None is any length) and `dtype`. Raises BadArray.

    Shape and type are compared with the length of the data before any memory is taken; pickled objects are refused.
    """
    stream = io.BytesIO(data)
    try:
        version = npy.read_magic(stream)
        if version != (1, 0):
            raise BadArray(f"expected a .npy file of version 1.0, got {version[0]}.{version[1]}")
        length = int.from_bytes(data[8:10], "little")
        got_shape, fortran_order, got_dtype = _header(data[8 : 10 + length])
        body = data[10 + length :]
    except BadArray:  # says it already
        raise
    except UNREADABLE as error:
        raise BadArray(f"expected a .npy file, got: {error}") from None
    expected = np.dtype(dtype)
    same_shape = len(got_shape) == len(shape) and all(
        want is None or want == got for want, got in zip(shape, got_shape, strict=True)
    )
    if got_dtype != expected or not same_shape or fortran_order:
        wanted = "×".join("n" if want is None else str(want) for want in shape)
        raise BadArray(f"expected {expected} of shape {wanted}, got {got_dtype} of shape {got_shape}")
    if len(body) != int(np.prod(got_shape, dtype=object)) * expected.itemsize:
        raise BadArray(f"expected the {got_shape} values that its header promises, got {len(body)} bytes")
    return np.frombuffer(body, expected).reshape(got_shape)


@lru_cache(maxsize=64)
def _header(data: bytes) -> tuple[tuple[int, ...], bool, np.dtype]:
    """(shape, fortran order, dtype) of a header without its magic: a dataset has few of them in very many samples."""
    shape, fortran_order, dtype = npy.read_array_header_1_0(io.BytesIO(data))
    return shape, fortran_order, dtype


def npz_bytes(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Named arrays as the bytes of an uncompressed `.npz` file, sorted by name, without dates or machine."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(arrays):
            info = zipfile.ZipInfo(f"{name}.npy", EPOCH)
            info.create_system = 3
            archive.writestr(info, npy_bytes(arrays[name]))
    return stream.getvalue()


def npz_members(data: bytes, names: tuple[str, ...]) -> dict[str, bytes]:
    """The `.npy` bytes of each of `names` in an uncompressed `.npz`. Raises BadArray for anything else or more."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            got = sorted(entry.filename for entry in entries)
            if got != sorted(f"{name}.npy" for name in names):
                raise BadArray(f"expected the arrays {', '.join(names)}, got {', '.join(got) or 'none'}")
            if any(entry.compress_type != zipfile.ZIP_STORED or entry.file_size > len(data) for entry in entries):
                raise BadArray("expected an uncompressed .npz, got compressed members")
            return {name: archive.read(f"{name}.npy") for name in names}
    except BadArray:  # says it already
        raise
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, *UNREADABLE) as error:
        raise BadArray(f"expected an .npz file, got: {error}") from None
