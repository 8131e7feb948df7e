"""Models damaged at random, by seed: Blender lives, or is replaced, each has an outcome, and the next renders right."""

import random
import struct
from pathlib import Path
from typing import Any

import pytest

from base.outcomes import Outcome
from render.child import RenderChild
from render.run import render_views
from tests.render.conftest import EXAMPLES
from tests.render.models import digests

SMALL = {"hw": [16, 16], "views": 2, "samples": 1, "denoise": {"enabled": False}, "checks": {"bad": []}}
JSON_AT = 20
ABSURD = ("0", "-1", "4294967295", "1e308", "null", "[]", '"x"', "true", "99999999999999999999")


def damaged(data: bytes, seed: int) -> bytes:
    """`data`, a binary glTF, cut, with bits flipped, or with a number of its JSON replaced by an absurd one."""
    draw = random.Random(seed)
    if seed % 4 == 0:
        return data[: draw.randrange(len(data))]
    changed = bytearray(data)
    json_end = JSON_AT + struct.unpack_from("<I", data, 12)[0]
    if seed % 4 == 1:  # anywhere in the geometry and pictures
        for _ in range(draw.randrange(1, 200)):
            changed[draw.randrange(json_end, len(changed))] ^= 1 << draw.randrange(8)
        return bytes(changed)
    if seed % 4 == 2:  # in the words of the document
        for _ in range(draw.randrange(1, 4)):
            changed[draw.randrange(JSON_AT, json_end)] ^= 1 << draw.randrange(7)
        return bytes(changed)
    return with_an_absurd_number(data, json_end, draw)


def with_an_absurd_number(data: bytes, json_end: int, draw: random.Random) -> bytes:
    text = data[JSON_AT:json_end].decode()
    digits = [index for index, letter in enumerate(text) if letter.isdecimal() and text[index - 1] in ":[,"]
    at = draw.choice(digits)
    end = at
    while text[end].isdecimal() or text[end] in ".eE+-":
        end += 1
    text = text[:at] + draw.choice(ABSURD) + text[end:]
    body = text.encode() + b" " * (-len(text) % 4)
    rest = data[json_end:]
    header = struct.pack("<II", 2, JSON_AT + len(body) + len(rest)) + struct.pack("<I", len(body))
    return b"glTF" + header + b"JSON" + body + rest


def fuzzed(child: RenderChild, settings: Any, seeds: range, folder: Path) -> None:
    small = settings(**SMALL)
    sources = [(EXAMPLES / f"{name}.glb").read_bytes() for name in ("stool", "avocado", "burger")]
    render_views(child, EXAMPLES / "stool.glb", "stool", small, 0, folder / "before")
    for seed in seeds:
        model = folder / "damaged.glb"
        model.write_bytes(damaged(sources[seed % len(sources)], seed))
        result = render_views(child, model, "damaged", small, 0, folder / f"{seed}")
        assert result.outcome.ended, f"seed {seed}"
        assert result.outcome is Outcome.OK or result.reason, f"seed {seed}: {result.outcome} without a reason"
        assert "\n" not in result.reason, f"seed {seed}"
    render_views(child, EXAMPLES / "stool.glb", "stool", small, 0, folder / "after")
    assert digests(folder / "after") == digests(folder / "before")


def test_damaged_models_leave_the_worker_alive(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    fuzzed(blender, settings, range(20), tmp_path)


@pytest.mark.soak
def test_many_damaged_models_leave_the_worker_alive(settings: Any, blender: RenderChild, tmp_path: Path) -> None:
    fuzzed(blender, settings, range(20, 220), tmp_path)
