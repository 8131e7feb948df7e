"""Arrays out of bytes: what numpy and zipfile read, quicker and more strictly."""

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shards.arrays import BadArray, npy_bytes, npz_bytes, npz_members, read_npy

DTYPES = st.sampled_from([np.float16, np.float64, np.int64, np.uint8])
ARRAYS = DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_side=0)))
NAMES = st.text("abcRT", min_size=1, max_size=8)


@given(ARRAYS)
def test_an_array_is_what_numpy_reads(array: np.ndarray) -> None:
    data = npy_bytes(array)
    expected = np.load(io.BytesIO(data), allow_pickle=False)
    got = read_npy(data, tuple(None for _ in array.shape), array.dtype)
    assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(BadArray, match="that its header promises"):
        read_npy(data + b"\0", array.shape, array.dtype)


@given(st.dictionaries(NAMES, ARRAYS, min_size=1, max_size=4))
def test_members_are_what_zipfile_reads(held: dict[str, np.ndarray]) -> None:
    data = npz_bytes(held)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        expected = {name: archive.read(f"{name}.npy") for name in held}
    assert npz_members(data, tuple(held)) == expected


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, member in members:
            archive.writestr(name, member)
    return stream.getvalue()


GOOD = npz_bytes({"R": np.arange(5.0)})


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no directory at byte 0"),
        (GOOD[:-1].replace(b"PK\1\2", b"PK\1\3"), "no directory"),
        (GOOD[:20], "at byte 0"),
        (GOOD[:60], r"'R\.npy': expected \d+ bytes with its checksum"),
        (GOOD.replace(np.float64(3.0).tobytes(), np.float64(4.0).tobytes(), 1), r"'R\.npy': expected .* checksum"),
        (zipped(("T.npy", b"")), r"expected the arrays R, got T\.npy"),
        (zipped(("R.npy", b""), ("T.npy", b"")), r"expected the arrays R, got R\.npy, T\.npy"),
        (zipped(("R.npy", bytes(99)), method=zipfile.ZIP_DEFLATED), "expected an uncompressed"),
    ],
)
def test_an_archive_of_another_kind_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(BadArray, match=reason):
        npz_members(data, ("R",))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(BadArray, match=r"got R\.npy twice"):
        npz_members(zipped(("R.npy", b"1"), ("R.npy", b"2")), ("R",))
