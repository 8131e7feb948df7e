"""What a feature file is, and the boxes that most of them are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.render.three.compare import Difference
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import EDGES, Shape, box

Corner = tuple[float, float, float]
HALF: Corner = (EDGES[0] / 2, EDGES[1] / 2, EDGES[2] / 2)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A model, its bounds in glTF's axes, and how far the two renderers may be apart.

    `colour` is the highest mean absolute difference, of 255, and `iou` the least overlap of what is seen. Boxes of flat
    colours differ by 0.1 to 1 of 255, which is the noise of Cycles and the two models of a rough surface, and in 1 or 2
    pixels of 3,000, whose middles are on an edge. `wrong` says why we are known to differ; empty when we do not.
    """

    write: Callable[[], Gltf]
    low: Corner = (-HALF[0], -HALF[1], -HALF[2])
    high: Corner = HALF
    colour: float = 2.0
    iou: float = 0.99
    samples: int = 64
    point_size: float = 0.0
    companions: dict[str, bytes] = field(default_factory=dict)
    wrong: str = ""

    def save(self, folder: Path) -> Path:
        """Write the model and its companions into a new folder; the model's path."""
        folder.mkdir()
        for name, data in self.companions.items():
            (folder / name).write_bytes(data)
        (folder / "model.glb").write_bytes(self.write().glb())
        return folder / "model.glb"

    def allows(self, found: Difference) -> bool:
        """Whether the two are as near as they should be."""
        return found.colour <= self.colour and found.iou >= self.iou

    def for_three(self, folder: str) -> dict[str, Any]:
        """What page.js must know of the model in `folder`."""
        return {"url": f"{folder}/model.glb", "low": self.low, "high": self.high, "point_size": self.point_size}


def textured_box(picture: bytes, mime: str = "image/png", *, shape: Shape | None = None, **sampler: int) -> Gltf:
    """A box with a picture on each face."""
    gltf = Gltf()
    base = {"baseColorTexture": {"index": gltf.texture(picture, mime, **sampler)}, "metallicFactor": 0.0}
    return with_box(gltf, shape, pbrMetallicRoughness=base)


def with_box(gltf: Gltf, shape: Shape | None = None, **material: Any) -> Gltf:
    """`gltf` with a box of this material."""
    shape = shape or box()
    mesh = gltf.mesh(shape.attributes(), shape.indices, material=gltf.add("materials", material))
    gltf.node(mesh=mesh)
    return gltf
