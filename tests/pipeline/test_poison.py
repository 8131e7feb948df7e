"""One object in twenty is poison: every healthy one is rendered once, each poison one is named with its cause."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.disturbed import Place, facts, model, stock, tries
from tests.pipeline.hub import Hub
from tests.pipeline.nodes import Nodes

pytestmark = [pytest.mark.chain, pytest.mark.soak]

CAUSES = {
    "segfault": ("crash", "the child died of SIGSEGV (phase view)"),
    "hang": ("timeout", "expected an answer within 10 s, got nothing (phase view)"),
    "memory": ("out_of_memory", "expected at most 400 MiB of memory, got "),
}
HEALTHY_PER_POISON = 19


def test_poison_harms_nobody_else(
    nodes: Nodes, lasting_hub: Hub, tmp_path: Path, times: int, figure: Callable[[str, object], None]
) -> None:
    kinds = [*CAUSES]
    poison = {f"{kinds[number % len(kinds)]}-{number}": kinds[number % len(kinds)] for number in range(times)}
    healthy = [f"thing-{number}" for number in range(HEALTHY_PER_POISON * times)]
    stock(lasting_hub, {uid: model(uid) for uid in (*poison, *healthy)})
    place = Place.new(tmp_path / "place", lasting_hub, nodes)
    place.build([*poison, *healthy])
    found = facts(place.storage)
    assert {uid for uid, row in found.items() if row["outcome"] == "ok"} == set(healthy)
    assert tries(place.storage, "ok") == Counter(healthy)
    tried = tries(place.storage)
    for uid, kind in poison.items():
        outcome, cause = CAUSES[kind]
        assert found[uid]["outcome"] == outcome
        assert found[uid]["phase"] == "view"
        assert tried[uid] == 2
        assert found[uid]["reason"].startswith(cause)
    assert "nothing to do" in place.build([*poison, *healthy])
    figure("healthy objects, each rendered once", len(healthy))
    for kind, count in sorted(Counter(poison.values()).items()):
        figure(f"objects of {kind}, each named after two deaths", count)
