"""Shards come from outside: each kind of damage is one sentence that names shard, key and reason."""

import contextlib
import io
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import Failure
from base.progress import SILENT
from base.storage import Storage
from shards.arrays import BadArray, npy_bytes, npz_bytes, npz_members, read_npy
from shards.image import MAX_PIXELS, BadImage, decode_rgba, encode_rgba
from shards.tar import BadTar, TarWriter, read_members
from shards.verify import verify
from shards.version import Version, parse_version, read_version
from tests.shards.datasets import HW, make_version

UID = "object-0-000"


@pytest.fixture
def version(tmp_path: Path, storage: Storage) -> Version:
    return make_version(storage, tmp_path / "views", [1])


def rewritten(version: Version, storage: Storage, change: Callable[[dict[str, bytes]], None]) -> Version:
    """The version with its one shard written anew, its members changed; the digest is left to be wrong."""
    shard = version.shards[0]
    with tarfile.open(fileobj=io.BytesIO(storage.read(shard.name))) as archive:
        members = {info.name: archive.extractfile(info).read() for info in archive}  # type: ignore[union-attr]
    change(members)
    stream = io.BytesIO()
    sink = TarWriter(stream)
    offset, length = sink.add(members)
    sink.close()
    storage.write(shard.name, stream.getvalue())
    samples = (shard.samples[0]._replace(offset=offset, bytes=length),)
    return replace(version, shards=(replace(shard, bytes=len(stream.getvalue()), samples=samples),))


def refused(version: Version, storage: Storage, reason: str) -> None:
    with pytest.raises(Failure, match=reason) as caught:
        verify(storage, version, SILENT)
    assert version.shards[0].name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sound_version_passes(dataset: tuple[Version, Storage]) -> None:
    version, storage = dataset
    verify(storage, version, SILENT)


def pickled_npz() -> bytes:
    """Python objects in an archive that is as ours are."""
    member, stream = io.BytesIO(), io.BytesIO()
    np.save(member, np.array([{}], object))
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("source", "target", "R", "T", "pose"):
            archive.writestr(f"{name}.npy", member.getvalue())
    return stream.getvalue()


def compressed_npz() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("source", "target", "R", "T", "pose"):
            archive.writestr(f"{name}.npy", bytes(1 << 20))
    return stream.getvalue()


def picture(kind: str, wh: tuple[int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", wh).save(stream, kind)
    return stream.getvalue()


def huge_npy() -> bytes:
    """A header that promises 10¹² values, and none of them."""
    return npy_bytes(np.zeros((12, 3, 4))).replace(b"(12, 3, 4), }", b"(99999999999, 3, 4), }")[:140]


HOSTILE = [
    ("05.webp", None, r"05\.webp: expected this member"),
    ("json", None, r"json: expected this member"),
    ("99.webp", b"x", r"99\.webp: expected no such member"),
    ("json", b"{", "expected JSON"),
    ("json", b"[" * 500_000, "expected JSON"),
    ("json", b'{"uid": "other", "schema": 1}', "about this object"),
    ("json", b'{"uid": "object-0-000", "schema": 1, "object": null, "render": {"passes": ""}}', "got null"),
    ("pairs.npz", pickled_npz(), r"pairs\.npz: .*expected int.*, got object"),
    ("pairs.npz", compressed_npz(), "uncompressed"),
    ("pairs.npz", npz_bytes({"R": np.zeros(3)}), "expected the arrays"),
    ("pairs.npz", b"PK", r"expected an \.npz"),
    ("extrinsics.npy", npy_bytes(np.zeros((11, 3, 4))), "expected"),
    ("extrinsics.npy", npy_bytes(np.zeros((12, 3, 4), np.float32)), "expected float64"),
    ("extrinsics.npy", npy_bytes(np.zeros((12, 3, 4))), "agree with extrinsics"),
    ("extrinsics.npy", huge_npy(), "expected"),
    ("03.webp", picture("PNG", HW), "expected a WebP"),
    ("03.webp", picture("WEBP", (8, 8)), "expected 16×16 pixels, got 8×8"),
    ("03.webp", picture("WEBP", (16383, 1100)), f"at most {MAX_PIXELS} pixels"),
    ("03.webp", picture("WEBP", HW)[:40], "expected a (whole )?WebP"),
]


@pytest.mark.parametrize(("suffix", "data", "reason"), HOSTILE)
def test_a_bad_member_is_named(
    version: Version, storage: Storage, suffix: str, data: bytes | None, reason: str
) -> None:
    def change(members: dict[str, bytes]) -> None:
        members.pop(f"{UID}.{suffix}", None)
        if data is not None:
            members[f"{UID}.{suffix}"] = data

    refused(rewritten(version, storage, change), storage, reason)


def test_members_of_another_key_are_refused(version: Version, storage: Storage) -> None:
    refused(rewritten(version, storage, lambda members: members.update({"other.json": b"{}"})), storage, "other.json")


@pytest.mark.parametrize("keep", [0, 100, 5000, -11000])
def test_a_truncated_shard_is_named(version: Version, storage: Storage, keep: int) -> None:
    name = version.shards[0].name
    storage.write(name, storage.read(name)[:keep])
    refused(version, storage, "expected")


def test_a_foreign_file_is_named(version: Version, storage: Storage) -> None:
    storage.write(version.shards[0].name, bytes(range(256)) * 400)
    refused(version, storage, "expected")


def test_a_link_in_a_shard_is_refused(version: Version, storage: Storage) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        link = tarfile.TarInfo(f"{UID}.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    storage.write(version.shards[0].name, stream.getvalue())
    shard = version.shards[0]
    entry = shard.samples[0]._replace(bytes=512)
    refused(replace(version, shards=(replace(shard, samples=(entry,)),)), storage, "plain files")


def test_one_flipped_bit_is_found(version: Version, storage: Storage) -> None:
    name = version.shards[0].name
    data = bytearray(storage.read(name))
    data[-1] ^= 1
    storage.write(name, bytes(data))
    refused(version, storage, "sha256")


def test_a_missing_shard_is_named(version: Version, storage: Storage) -> None:
    storage.remove(version.shards[0].name)
    refused(version, storage, "got nothing")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("shards/train", "../train"),
        ("shards/train", "pipe:cat "),
        ('"object-0-000",0,', '"object-0-000",-1,'),
        ('"object-0-000",0,', '"object-0-000",true,'),
        ('"number":1', '"number":"1"'),
        ('"number":1,', '"number":0,'),
        ('"number":1,', f'"number":{10**12},'),
        ('"parent":0', '"parent":-1'),
        ("train-000000-", f"train-{'0' * 5000}-"),
        ('"settings_digest":"', '"settings_digest":"\\u001b[2J'),
        ('"sha256":"', '"sha256":"/tmp/'),
        ('"sha256":"', '"sha256":"../../'),
        ('"sha256":"', '"sha256":"0'),
        ('"bytes":', '"bytes":-'),
        ('"bytes":', f'"bytes":{10**20}'),
        ('"views":12', '"views":0'),
        ('"views":12', f'"views":{10**12}'),
        ('"hw":[16,', '"hw":[-16,'),
        ('"hw":[16,', '"hw":[65536,'),
        ('"schema":1', '"schema":2'),
        ('"views":12', '"view":12'),
        ("{", "["),
    ],
)
def test_a_version_of_another_kind_is_refused(version: Version, storage: Storage, old: str, new: str) -> None:
    text = version.to_json().decode()
    assert old in text
    storage.write("versions/1.json", text.replace(old, new, 1).encode())
    with pytest.raises(Failure, match=r"versions/1\.json: .*expected"):
        read_version(storage)


def test_versions_round_trip(version: Version, storage: Storage) -> None:
    storage.write("versions/1.json", version.to_json())
    storage.write("versions/10.json", replace(version, number=10, parent=1).to_json())
    assert parse_version(version.to_json(), where="here") == version
    assert read_version(storage).number == 10
    assert read_version(storage, 1) == version
    with pytest.raises(Failure, match="got only: 1, 10"):
        read_version(storage, 2)


def test_a_folder_without_versions_says_so(storage: Storage) -> None:
    with pytest.raises(Failure, match="build it first"):
        read_version(storage)


def _tar() -> bytes:
    stream = io.BytesIO()
    TarWriter(stream).add({"a.json": b"{}", "a.npy": bytes(700)})
    return stream.getvalue()


SMALL = {
    "npy": (npy_bytes(np.zeros((12, 3, 4))), lambda data: read_npy(data, (12, 3, 4), np.float64)),
    "npz": (npz_bytes({"R": np.arange(5.0)}), lambda data: npz_members(data, ("R",))),
    "webp": (encode_rgba(np.full((8, 8, 4), 7, np.uint8)), decode_rgba),
    "tar": (_tar(), read_members),
}


@pytest.mark.parametrize("kind", SMALL)
def test_bytes_that_were_changed_anywhere_are_read_or_refused(kind: str, times: int) -> None:
    data, reader = SMALL[kind]
    rng = np.random.default_rng(0)
    for _ in range(400 * times):
        changed = bytearray(data)
        for _ in range(rng.integers(1, 5)):
            changed[rng.integers(min(len(data), rng.choice([40, 130, 10_000])))] = rng.integers(256)
        with contextlib.suppress(BadArray, BadImage, BadTar):
            reader(bytes(changed[: rng.integers(1, 2 * len(data))]))
