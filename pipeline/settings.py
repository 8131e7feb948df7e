"""The settings of the data job: the objects, and the distribution of the run over machines."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from base.settings import Section

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


def _in_order(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[1] and bounds[0] > bounds[1]:
        raise ValueError("a minimum and then a maximum")
    return bounds


Bounds = Annotated[tuple[Count, Count], AfterValidator(_in_order)]
"""Minimum and maximum; a maximum of 0 means no limit."""


class FetchSettings(Section):
    """How a file is fetched: `timeout_s` without data, `deadline_s` over all tries, at most `max_bytes`.

    `cache` is a local folder for up to `cache_mb` of fetched files; 0 turns it off. The whole cluster sends at most
    `requests` per `window_s` to a server with the same credential. Without a credential the limit holds per machine,
    or for all machines with a `shared_address`.
    """

    timeout_s: Seconds
    deadline_s: Seconds
    tries: Positive
    backoff_s: Annotated[float, Field(ge=0)]
    max_bytes: Positive
    cache: str
    cache_mb: Count
    requests: Positive
    window_s: Seconds
    shared_address: bool


class ObjaverseSettings(Section):
    """Objects of Objaverse: by `uids`, by `uid_file`, by `lvis` category; all objects if all three are empty.

    A named uid missing in the index ends as `missing`; `unlisted: refuse` refuses the build instead. `sample` > 0 draws
    a sample of this size with `seed`. `revision` selects models and annotations, `xl_revision` the digests of
    Objaverse-XL. `cache` is a folder for the indexes. `downloaded` is the folder of the `objaverse` package: read,
    never written.
    """

    uids: tuple[str, ...]
    uid_file: str
    lvis: tuple[str, ...]
    unlisted: Literal["missing", "refuse"]
    sample: Count
    seed: int
    revision: str
    xl_revision: str
    cache: str
    downloaded: str


class FilterSettings(Section):
    """Rules for admitting objects. Empty values, 0 and `any` admit all.

    `text` requires any of its words in title or tags. An object without the stated fact is left out. For licences
    `unstated_licence` makes an exception: for your `own` files, for `any` object, or `never`.
    """

    licences: tuple[str, ...]
    unstated_licence: Literal["own", "any", "never"]
    categories: tuple[str, ...]
    text: tuple[str, ...]
    faces: Bounds
    vertices: Bounds
    animated: Literal["any", "only", "never"]
    likes: Count


class ObjectsSettings(Section):
    """The source of the objects and the rules for admitting them.

    `objaverse-xl` has the models of `objaverse` with a required digest each. `renders` is a folder of existing views, a
    subfolder per object: they are checked and packed, not rendered. `gso` is a folder of Google Scanned Objects as
    published, a subfolder per scan.
    """

    source: Literal["folder", "objaverse", "objaverse-xl", "urls", "renders", "gso"]
    folder: str
    renders: str
    gso: str
    urls: str
    objaverse: ObjaverseSettings
    filter: FilterSettings
    fetch: FetchSettings


class RunSettings(Section):
    """How the work is run. An empty `address` starts a local Ray; `workers` 0 uses all CPUs.

    `seed` is the root of all randomness in the views. After `lease_s` without a heartbeat a builder loses the dataset.
    A long run makes a version every `version_every_s`.
    """

    seed: int
    address: str
    workers: Count
    cpus_per_worker: Annotated[float, Field(gt=0)]
    gpus_per_worker: Annotated[float, Field(ge=0)]
    # Ray refuses to start with less.
    object_store_mb: Annotated[int, Field(ge=75)]
    infrastructure_losses: Count
    child_deaths: Positive
    lease_s: Seconds
    version_every_s: Seconds
