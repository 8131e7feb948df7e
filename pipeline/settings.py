"""The settings of the data job: which objects, and how the run is spread over machines."""

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from base.settings import Section

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]


def _in_order(bounds: tuple[int, int]) -> tuple[int, int]:
    if bounds[1] and bounds[0] > bounds[1]:
        raise ValueError("the least and then the most")
    return bounds


Bounds = Annotated[tuple[Count, Count], AfterValidator(_in_order)]
"""The least and the most; 0 as the most is no limit."""


class FetchSettings(Section):
    """How a file is fetched: `timeout_s` of silence, `deadline_s` for all tries together, `max_bytes` at most.

    `cache` is a folder of each machine that keeps up to `cache_mb` of what was fetched; 0 keeps nothing. A server is
    asked at most `requests` times in `window_s` by the whole cluster with one credential; without one by each machine,
    or by all together when they have a `shared_address`.
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
    """Which objects of Objaverse: `uids`, those in `uid_file`, those of `lvis` categories; none of the three is all.

    A named uid that is not in the index ends as `missing`, or, with `unlisted` set to `refuse`, ends the build.
    `sample` > 0 takes that many of them, drawn with `seed`. `revision` is of the models and what is told of them,
    `xl_revision` of the digests that Objaverse-XL has of them. `cache` is a folder for the indexes,
    `downloaded` one where the `objaverse` package may have put files: read, never written.
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
    """Which of the objects are taken; what is empty, 0 or `any` asks for nothing.

    `text` wants one of its words in title or tags. An object whose source does not state what a rule asks for is left
    out. `unstated_licence` excepts licences: those of your `own` files, of `any` object, or `never`.
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
    """Where the objects come from: a `folder` of models, Objaverse, or a table of `urls`; and which are taken.

    `objaverse-xl` are the same models as `objaverse`, with the digest that each must have. `renders` is a folder of
    views that exist already, a folder for each object: they are checked and packed, and nothing is rendered.
    """

    source: Literal["folder", "objaverse", "objaverse-xl", "urls", "renders"]
    folder: str
    renders: str
    urls: str
    objaverse: ObjaverseSettings
    filter: FilterSettings
    fetch: FetchSettings


class RunSettings(Section):
    """How the work is run. `address` empty starts a local Ray; `workers` 0 takes as many as the CPUs allow.

    `seed` is the root of all randomness in the views.
    `lease_s` is how long a silent builder keeps the dataset; `version_every_s` how often a long run makes a version.
    """

    seed: int
    address: str
    workers: Count
    cpus_per_worker: Annotated[float, Field(gt=0)]
    gpus_per_worker: Annotated[float, Field(ge=0)]
    object_store_mb: Annotated[int, Field(ge=75)]
    infrastructure_losses: Count
    child_deaths: Positive
    lease_s: Seconds
    version_every_s: Seconds
