"""Read shards with webdataset itself: for its users, and to verify that plain readers see the same samples.

Packing does not use webdataset's writer, although it makes the same bytes (tests/shards/test_plain.py). Importing
webdataset loads torch: 2 CPU seconds and 124 MB in each worker, beside its Blender. So it is imported on use.
"""

import io
from typing import Any

from base.errors import UsageError
from base.storage import Storage
from shards.damage import DamagedSample
from shards.reader import read_sample_members
from shards.sample import Sample
from shards.version import SampleEntry, ShardEntry, Version


def plain_dataset(version: Version, storage: Storage, split: str, **options: Any) -> Any:
    """Open a split of a local dataset as a `webdataset.WebDataset` of raw members; `options` are its own.

    Samples are dicts: `__key__` is the uid, and each suffix maps to bytes. Shuffling, resumption and damaged samples
    are up to webdataset. Raises UsageError if the dataset is not in a local folder, or in one that webdataset cannot
    open.
    """
    import webdataset

    # As a list: webdataset would expand braces, `::` and variables in a single text.
    urls = [str(storage.local_path(shard.name)) for shard in version.split(split)]
    # It takes each path for a URL and drops what follows `?` or `#`. It knows no way to quote them.
    if any({"?", "#"} & set(url) for url in urls):
        raise UsageError(f"expected a folder without ? and # in its path, got {storage.root}: webdataset cuts it short")
    # webdataset warns unless shuffling is decided.
    return webdataset.WebDataset(urls, **{"shardshuffle": False, **options})


def plain_members(data: bytes) -> list[tuple[str, dict[str, bytes]]]:
    """List the samples that webdataset reads from tar bytes, as (key, members by suffix).

    webdataset trusts headers, for example of sparse files. Pass only bytes that `shards.tar.read_members` accepts.
    """
    from webdataset.tariterators import group_by_keys, tar_file_iterator

    files = ({**file, "__url__": ""} for file in tar_file_iterator(io.BytesIO(data)))
    return [
        (sample["__key__"], {suffix: value for suffix, value in sample.items() if not suffix.startswith("__")})
        for sample in group_by_keys(files, lcase=False)
    ]


def read_verified_sample(storage: Storage, shard: ShardEntry, entry: SampleEntry) -> Sample:
    """Read a sample by its range, and check that webdataset reads the same key and members from the same bytes.

    Raises DamagedSample for a damaged sample, and for a difference between the readers.
    """
    data = storage.read_range(shard.name, entry.offset, entry.bytes)
    sample = Sample(shard.name, entry.uid, read_sample_members(lambda *_: data, shard, entry))
    if plain_members(data) != [(entry.uid, dict(sample.members))]:
        raise DamagedSample(shard.name, entry.uid, ": expected the members that webdataset reads, got others")
    return sample
