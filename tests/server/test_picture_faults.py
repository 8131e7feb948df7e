"""Views of pictures in a bucket: a server that refuses, is late or loses answers changes no byte of them.

The command itself on a Ray cluster, with a stub in the model's place; a real S3 server (moto) with troubles before it.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.inference.test_disturbed_pictures import PicturePlace, calm_place
from tests.pipeline.disturbed import ended
from tests.pipeline.nodes import Nodes
from tests.server.s3 import BUCKET, KINDS, trouble
from tests.server.test_s3_faults import HASTY, LATE_S, is_what

pytestmark = pytest.mark.server

MOST = 4


@pytest.fixture(scope="module")
def calm(s3: str, nodes: Nodes, tmp_path_factory: pytest.TempPathFactory) -> PicturePlace:
    """An undisturbed run, into a folder."""
    return calm_place(nodes, tmp_path_factory.mktemp("calm"), healthy=8, poison=("segfault-1",))


def test_a_twentieth_of_all_calls_fails(s3: str, calm: PicturePlace, tmp_path: Path) -> None:
    place = replace(calm, folder=tmp_path, where=f"s3://{BUCKET}/pictures", environment=HASTY)
    trouble(s3, share=0.05, kinds=list(KINDS), late_s=LATE_S, slow_s=0.0, limit=1 << 30, paths="", seed=3)
    try:
        for _ in range(MOST):
            code, said = ended(place.start())
            if code == 0:
                break
            # Only a sentence, and the same command goes on.
            assert (code, said.strip().splitlines()[-1][:9]) == (1, "zero123: "), said[-3000:]
    finally:
        met = trouble(s3, share=0.0)
    assert code == 0, said[-3000:]
    assert sum(met.get(kind, 0) for kind in KINDS) > 0
    is_what(place, calm)
