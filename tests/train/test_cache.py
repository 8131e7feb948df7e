"""Cached latents: the same pairs, the same learning, made once, and never in place of others."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from base.errors import Failure, UsageError
from base.progress import SILENT
from base.storage import Storage
from shards.damage import DamagedSample, DamageTolerance, raise_damage
from shards.latents import (
    find_unneeded_latents,
    latents_name,
    parse_latents,
    read_damages,
    read_latent_index,
    read_latent_indexes,
    read_record,
    record_name,
    stream_latents,
)
from shards.pair import LatentPair, Pair
from shards.sample import Sample
from shards.stream import stream_pairs
from shards.verify import verify
from shards.version import Version, read_version
from shards.visits import Share
from tests.shards.datasets import damaged, make_version
from tests.shards.test_damage import drop, put
from tests.train.runs import cut_view, make_dataset, model_settings, small_view, train, train_settings
from tests.train.test_loop import Said
from tests.zero123.networks import small_pipeline
from train.batch import make_batch
from train.cache import CacheJob, CacheSummary, CacheWorker, cache_latents
from train.collate import collate
from train.loader import read_rank_pairs
from train.memo import LatentMemo
from zero123.encoders import FrozenEncoders
from zero123.latents import condition_latent, moments, target_from_moments, target_latent


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("dataset") / "dataset")


def job(storage: Storage, **changes: Any) -> CacheJob:
    return CacheJob(storage, read_version(storage), model_settings(), 0, "cpu", 1)


@pytest.fixture(scope="module")
def made(storage: Storage) -> CacheSummary:
    return cache_latents(job(storage), 1, SILENT)


def small_vae() -> AutoencoderKL:
    torch.manual_seed(0)
    blocks = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}
    vae = AutoencoderKL(block_out_channels=(8,) * 4, latent_channels=4, norm_num_groups=4, sample_size=32, **blocks)
    return vae.eval().requires_grad_(requires_grad=False)


def small_clip() -> CLIPVisionModelWithProjection:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = CLIPVisionConfig(**shape, image_size=224, patch_size=56, projection_dim=12)
    return CLIPVisionModelWithProjection(config).eval().requires_grad_(requires_grad=False)


def test_the_pairs_are_those_of_the_pictures(storage: Storage, made: CacheSummary) -> None:
    version = read_version(storage)
    latents = read_latent_index(storage, version, made.encoder)
    assert latents.encoder.latents == (4, 4, 4)
    request = {"split": "train", "seed": 5, "position": 7, "pairs_per_visit": 6, "views": tuple(range(10))}
    vae = small_pipeline().vae
    cached = stream_latents(version, latents, storage, **request)
    for ours, pictures in zip(islice(cached, 40), stream_pairs(version, storage, **request), strict=False):
        for name in ("number", "uid", "source", "target", "R", "T", "pose", "source_polar_rad"):
            assert np.array_equal(getattr(ours, name), getattr(pictures, name)), name
        images = FrozenEncoders(vae, None, "one", (32, 32)).encode(pictures.target_rgba[None])[0][0]
        np.testing.assert_allclose(ours.target_latents, images, rtol=1e-3, atol=2e-3)


def test_training_on_them_is_training_on_pictures(storage: Storage, made: CacheSummary, tmp_path: Path) -> None:
    pictures = train_settings(images=32)
    plain = train(model_settings(), pictures, storage, tmp_path / "pictures", SILENT)
    cached = train(
        model_settings(), pictures.model_copy(update={"cached_latents": True}), storage, tmp_path / "cached", SILENT
    )
    one, other = (np.array(run.loss_curve) for run in (plain, cached))
    np.testing.assert_allclose(other, one, rtol=1e-3)
    weights = [load_file(run.checkpoint / "training_state" / "weights.safetensors") for run in (plain, cached)]
    for name in weights[0]:
        torch.testing.assert_close(weights[1][name], weights[0][name], rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("tokens", ["one", "patches"])
def test_moments_and_a_frozen_image_encoder_give_the_same_batch(storage: Storage, tmp_path: Path, tokens: Any) -> None:
    pipeline = replace(small_pipeline(), vae=small_vae(), image_encoder=small_clip(), context_tokens=tokens)
    encoders = FrozenEncoders.in_model(pipeline)
    version = read_version(storage)
    request = {"split": "train", "seed": 5, "position": 0, "pairs_per_visit": 6}
    pictures = list(islice(stream_pairs(version, storage, **request), 6))
    assert encoders.image_encoder is not None

    def cached(pair: Pair) -> LatentPair:
        (source, target), vectors = encoders.encode(np.stack([pair.source_rgba, pair.target_rgba]))
        assert vectors is not None
        kept = {name: value for name, value in vars(pair).items() if not name.endswith("_rgba")}
        halves = {"source_latents": source, "target_latents": target, "embedding": vectors[0]}
        return LatentPair(**kept, **{name: value.astype(np.float16) for name, value in halves.items()})

    settings, memo = train_settings(), LatentMemo(pipeline.vae, 0)
    of_pictures = make_batch(pipeline, collate(pictures, pipeline, settings), memo, 0.0)
    of_latents = make_batch(pipeline, collate(list(map(cached, pictures)), pipeline, settings), memo, 0.0)
    assert of_latents.images is None
    embedding = pipeline.embedding(of_pictures.images, of_pictures.condition)
    for got, expected in (
        (of_latents.target, of_pictures.target),
        (of_latents.condition, of_pictures.condition),
        (of_latents.embedding, embedding),
    ):
        torch.testing.assert_close(got, expected, rtol=2e-3, atol=2e-3)


def test_moments_say_all_that_the_autoencoder_says() -> None:
    vae, images = small_vae(), torch.rand(2, 3, 32, 32) * 2 - 1
    noise = torch.randn(2, 4, 4, 4)
    found = vae.encode(images).latent_dist
    expected = (found.mean + found.std * noise) * 0.18215
    torch.testing.assert_close(target_latent(vae, images, noise), expected)
    torch.testing.assert_close(target_from_moments(moments(vae, images), noise), expected)
    torch.testing.assert_close(condition_latent(vae, images), found.mode())


def test_only_what_is_new_is_made(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "dataset")
    whole = replace(make_version(storage, tmp_path / "views", [2, 1, 1]), hw=(16, 16))
    first = replace(whole, shards=whole.shards[:2])
    settings = model_settings().model_copy(update={"hw": (16, 16)})
    begun = CacheJob(storage, first, settings, 0, "cpu", 1)
    work = CacheWorker(begun)
    work.make(first.shards[1], raise_damage)
    summary = cache_latents(begun, 1, SILENT)
    assert (summary.made, summary.shards) == (1, 2)
    assert cache_latents(begun, 1, SILENT).made == 0
    second = replace(whole, number=2, parent=1)
    assert cache_latents(replace(begun, version=second), 1, SILENT).made == 1
    assert [len(read_latent_index(storage, one, summary.encoder).shards) for one in (first, second)] == [2, 3]
    storage.write("shards/lost", b"")
    lists = [latents_name(number, summary.encoder) for number in (1, 2)]
    record = record_name(summary.encoder, first.shards[0])
    *told, tar = find_unneeded_latents(storage, [replace(second, number=3, shards=whole.shards[1:])])
    assert told == [*lists, record]
    assert tar.startswith(f"latents/{summary.encoder}/train-000000-")
    storage.remove(tar)
    assert cache_latents(begun, 1, SILENT).made == 1


def test_damaged_latents_are_named_and_made_again(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "dataset")
    version = make_version(storage, tmp_path / "views", [1, 1, 1])
    begun = CacheJob(storage, version, model_settings().model_copy(update={"hw": (16, 16)}), 0, "cpu", 1)
    digest = cache_latents(begun, 1, SILENT).encoder
    [latents] = read_latent_indexes(storage, version)
    assert latents == read_latent_index(storage, version, digest)
    verify(storage, version, SILENT)
    names = [shard.name for shard in latents.shards]
    sound = [storage.read(name) for name in names]
    storage.write(names[0], changed_inside(sound[0], b"object-0-000.latents.npy", -1))
    storage.write(names[1], changed_inside(sound[1], b"object-1-000.latents.npy", 20))
    storage.remove(names[2])
    with pytest.raises(Failure) as told:
        verify(storage, version, SILENT)
    for line, sentence in zip(
        str(told.value).splitlines(),
        (
            rf"{names[0]}: expected sha256 {latents.shards[0].sha256}, got \w{{64}}",
            rf"{names[1]}: object-1-000\.latents\.npy: expected .*",
            rf"{names[2]}: expected a shard in {storage.root}, got nothing",
        ),
        strict=True,
    ):
        assert re.fullmatch(sentence, line)
    assert cache_latents(begun, 1, SILENT).made == 3
    assert [storage.read(name) for name in names] == sound
    other = replace(latents, encoder=replace(latents.encoder, latents=(4, 2, 3)))
    storage.write(latents_name(1, digest), other.to_json().encode())
    with pytest.raises(Failure, match=r"object-0-000\.latents\.npy: expected float16 of shape 12×4×2×3, got"):
        verify(storage, version, SILENT)


def changed_inside(tar: bytes, member: bytes, place: int) -> bytes:
    """The tar with one bit of a member changed, at a place among its bytes; the last if that is -1."""
    data, header = bytearray(tar), tar.index(member)
    length = int(tar[header + 124 : header + 135], 8)
    data[header + 512 + place % length] ^= 1
    return bytes(data)


def test_several_processes_make_what_one_makes(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "dataset")
    version = make_version(storage, tmp_path / "views", [1, 1])
    settings = model_settings().model_copy(update={"hw": (16, 16)})
    one = cache_latents(CacheJob(storage, version, settings, 0, "cpu", 1), 2, SILENT)
    assert one.made == 2
    index = storage.read(latents_name(1, one.encoder))
    shutil.rmtree(tmp_path / "dataset" / "latents")
    assert cache_latents(CacheJob(storage, version, settings, 0, "cpu", 1), 1, SILENT).made == 2
    assert storage.read(latents_name(1, one.encoder)) == index


def test_workers_hand_over_latents_as_they_hand_over_pictures(storage: Storage, made: CacheSummary) -> None:
    version = read_version(storage)
    latents = read_latent_index(storage, version, made.encoder)
    reader = partial(stream_latents, version, latents, storage, split="train", seed=3, pairs_per_visit=6)
    alone, other = (list(islice(read_rank_pairs(reader, Share(2, 0, 1), n, raise_damage, print), 20)) for n in (0, 1))
    for one, pair in zip(alone, other, strict=True):
        assert isinstance(pair, LatentPair)
        assert all(np.array_equal(value, getattr(pair, name)) for name, value in vars(one).items())


def test_missing_or_other_latents_raise_failure(storage: Storage, made: CacheSummary) -> None:
    version = read_version(storage)
    with pytest.raises(Failure, match=r"expected cached latents of encoder 0{16} for version 1, got nothing"):
        read_latent_index(storage, version, "0" * 16)
    other = replace(version, shards=(replace(version.shards[0], number=7),))
    with pytest.raises(Failure, match="expected the objects of version 1, got others; run `zero123 cache` again"):
        read_latent_index(storage, version, made.encoder).replace_shards_of(other)
    with pytest.raises(UsageError, match=r"model.hw: expected the dataset's view size \[32, 32\], got \[64, 64\]"):
        cache_latents(replace(job(storage), model=model_settings(hw=[64, 64])), 1, SILENT)
    with pytest.raises(UsageError, match="mirror and random_background 0 with cached_latents"):
        train_settings(cached_latents=True, mirror=0.5)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("latents/", "../x/"),
        ('"latents":[4,', '"latents":["4",'),
        ('"latents":[4,', '"latents":[-4,'),
        ('"latents":[4,4,4]', '"latents":[4096,4096,4]'),
        ('"latents":[4,', f'"latents":[{10**9},'),
        ('"sha256":"', '"sha256":"../'),
        ('"schema":1', '"schema":2'),
        ("{", "["),
    ],
)
def test_a_list_of_another_kind_is_refused(storage: Storage, made: CacheSummary, old: str, new: str) -> None:
    text = storage.read(latents_name(1, made.encoder)).decode()
    assert old in text
    with pytest.raises(Failure, match=r"^here: "):
        parse_latents(text.replace(old, new, 1).encode(), where="here")


def test_a_damaged_sample_is_named_and_nothing_is_listed(tmp_path: Path) -> None:
    storage = make_dataset(tmp_path / "dataset", objects=2)
    version: Version = read_version(storage)
    shard = version.shards[0]
    storage.write(shard.name, storage.read(shard.name)[: shard.samples[1].offset + 1000])
    with pytest.raises(Failure, match=rf"{shard.name}: object-1: expected \d+ bytes, got a shard that ends after 1000"):
        cache_latents(job(storage), 1, SILENT)
    assert storage.names("latents") == []
    assert [name for name in storage.names("versions") if "latents" in name] == []


DAMAGES = {
    "a cut view": cut_view,
    "a small view": small_view,
    "a view of nothing": put("03.webp", b""),
    "no cameras": drop("extrinsics.npy"),
    "foreign pairs": put("pairs.npz", b"PK"),
    "another schema": put("json", b'{"uid": "object-0", "schema": 9}'),
    "no facts": put("json", b"{"),
}


def with_damage(dataset: Storage, root: Path, change: Callable[[dict[str, bytes]], object]) -> Storage:
    """A copy of a dataset with its first sample changed in place, as a disk would, and the rest as it was."""
    there = Storage(root)
    there.write("versions/1.json", damaged(read_version(dataset), dataset, there, "object-0", change).to_json())
    return there


def order(pairs: Iterator[Pair | LatentPair]) -> list[tuple[int, str, int, int]]:
    return [(pair.number, pair.uid, pair.source, pair.target) for pair in islice(pairs, 60)]


@pytest.fixture(scope="module")
def two_shards(tmp_path_factory: pytest.TempPathFactory) -> Storage:
    return make_dataset(tmp_path_factory.mktemp("two") / "dataset", objects=3, shards=2)


@pytest.mark.parametrize("views", [10, 12])
@pytest.mark.parametrize("name", DAMAGES)
def test_damage_gives_the_same_pairs_for_latents_and_pictures(
    two_shards: Storage, tmp_path: Path, name: str, views: int
) -> None:
    storage = with_damage(two_shards, tmp_path / "dataset", DAMAGES[name])
    version = read_version(storage)
    summary = cache_latents(job(storage), 1, SILENT, damaged_samples=1)
    assert (summary.made, summary.damaged_samples) == (2, 1)
    latents = read_latent_index(storage, version, summary.encoder)
    of_pictures, of_latents = DamageTolerance(1, str), DamageTolerance(1, str)
    request = {"split": "train", "seed": 5, "position": 3, "pairs_per_visit": 5, "views": tuple(range(views))}
    pictures = order(stream_pairs(version, storage, on_damage=of_pictures, **request))
    cached = stream_latents(version, latents, storage, on_damage=of_latents, **request)
    assert order(cached) == pictures
    assert list(map(str, of_latents.samples.values())) == list(map(str, of_pictures.samples.values()))
    seen = views == 12 or name not in ("a cut view", "a small view")
    assert len(of_pictures.samples) == seen
    assert (pictures == order(stream_pairs(read_version(two_shards), two_shards, **request))) != seen
    parts = [
        stream_latents(version, latents, storage, rank=rank, world=2, on_damage=of_latents, **request)
        for rank in (0, 1)
    ]
    assert sorted(one for part in parts for one in order(islice(part, 30))) == pictures


@pytest.mark.parametrize("other", [{"object": {}}, {"object": {"licence": None}}, {"more": 1}])
def test_facts_of_other_keys_are_no_damage_to_latents(
    two_shards: Storage, tmp_path: Path, other: dict[str, Any]
) -> None:
    def change(members: dict[str, bytes]) -> None:
        members["json"] = json.dumps(json.loads(members["json"]) | other).encode()

    storage = with_damage(two_shards, tmp_path / "dataset", change)
    summary = cache_latents(job(storage), 1, SILENT)
    assert (summary.made, summary.damaged_samples) == (2, 0)
    latents = read_latent_index(storage, read_version(storage), summary.encoder)
    request = {"split": "train", "seed": 5, "position": 3, "pairs_per_visit": 5}
    pictures = order(stream_pairs(read_version(storage), storage, **request))
    assert order(stream_latents(read_version(storage), latents, storage, **request)) == pictures


def test_skipped_samples_are_retried(two_shards: Storage, tmp_path: Path) -> None:
    storage = with_damage(two_shards, tmp_path / "dataset", cut_view)
    cache_latents(job(storage), 1, SILENT, damaged_samples=1)
    with pytest.raises(Failure, match=r"object-0\.11\.webp"):
        cache_latents(job(storage), 1, SILENT)
    again = cache_latents(job(storage), 1, SILENT, damaged_samples=1)
    assert (again.made, again.damaged_samples) == (1, 1)
    version = read_version(storage)
    [before] = read_latent_indexes(storage, version)
    assert find_unneeded_latents(storage, [version]) == []
    with pytest.raises(
        Failure, match=r"object-0\.damage\.json: expected latents of a sound sample, got those of shards/"
    ):
        verify(storage, version, SILENT)
    healed = with_damage(two_shards, tmp_path / "dataset", lambda _: None)
    assert cache_latents(job(healed), 1, SILENT).made == 1
    [after] = read_latent_indexes(healed, version)
    assert after.encoder == before.encoder
    verify(healed, read_version(healed), SILENT)
    assert find_unneeded_latents(healed, [version]) == [before.shards[0].name]


@pytest.mark.parametrize("processes", [1, 2])
def test_all_processes_together_pass_over_so_many(two_shards: Storage, tmp_path: Path, processes: int) -> None:
    storage = with_damage(two_shards, tmp_path / "dataset", cut_view)
    last = read_version(storage).shards[1]
    storage.write(last.name, storage.read(last.name)[: last.samples[2].offset + 1000])
    said = Said()
    with pytest.raises(Failure, match="after 1 that were passed over"):
        cache_latents(job(storage), processes, said, damaged_samples=1)
    assert read_latent_indexes(storage, read_version(storage)) == []
    assert len(said.lines) == 1
    assert cache_latents(job(storage), processes, said, damaged_samples=2).damaged_samples == 2
    told = sorted(line.partition(": ")[2].partition(": ")[2] for line in said.lines[1:])
    assert [line.partition(" ")[0] for line in told] == ["object-0.11.webp:", "train-1-2:"]


def test_a_foreign_damage_is_damage() -> None:
    for data in (b"[]", b'{"sample": ["x"]}', b'{"sample": 1}', b"\xff", b"[" * 100_000):
        with pytest.raises(DamagedSample, match=r"t\.tar: mug\.damage\.json: expected the damages of a sample, got"):
            read_damages(Sample("t.tar", "mug", {"damage.json": data}))


def test_the_digest_is_of_weights_size_and_tokens() -> None:
    vae = small_vae()
    digests = {
        FrozenEncoders(vae, None, "one", (32, 32)).digest(),
        FrozenEncoders(vae, None, "one", (64, 64)).digest(),
        FrozenEncoders(vae, small_clip(), "one", (32, 32)).digest(),
        FrozenEncoders(vae, small_clip(), "patches", (32, 32)).digest(),
    }
    assert FrozenEncoders(vae.to(memory_format=torch.channels_last), None, "one", (32, 32)).digest() in digests
    with torch.no_grad():
        vae.encoder.conv_in.bias[0] += 1.0
    digests.add(FrozenEncoders(vae, None, "one", (32, 32)).digest())
    assert len(digests) == 5


def test_the_record_of_a_shard_is_json_and_not_trusted(storage: Storage, made: CacheSummary, tmp_path: Path) -> None:
    name = record_name(made.encoder, read_version(storage).shards[0])
    record = json.loads(storage.read(name))
    assert record["name"].startswith(f"latents/{made.encoder}/train-000000-")
    there = Storage(tmp_path)
    for change in ({"name": "shards/train-000000-0123456789ab.tar"}, {"sha256": "../.."}, {"bytes": 1}):
        there.write(name, json.dumps(record | change).encode())
        with pytest.raises(Failure, match=f"{name}: "):
            read_record(there, name)
