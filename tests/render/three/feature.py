"""What a feature file is, and the boxes that most of them are."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.render.three.compare import Difference
from tests.render.three.gltf import Gltf
from tests.render.three.shapes import EDGES, Shape, box

Corner = tuple[float, float, float]
Shade = Callable[..., dict[str, Any]]
HALF: Corner = (EDGES[0] / 2, EDGES[1] / 2, EDGES[2] / 2)


@dataclass(frozen=True, kw_only=True)
class Feature:
    """A model, its bounds in glTF's axes, and how far the two renderers may be apart.

    `colour` is the highest mean absolute difference, of 255, and `iou` the least overlap of what is seen. Matte boxes
    of one colour differ by 0.02 and textured ones by 0.2 to 0.5, in the few pixels of 3,000 whose middles are on an
    edge; one wrong texel of sixteen makes 3. Cycles sends `samples` rays through each pixel. `reference` is what
    three.js is given instead where it lacks the feature. `rest` asks for the pose without animations.
    """

    write: Callable[[], Gltf]
    low: Corner = (-HALF[0], -HALF[1], -HALF[2])
    high: Corner = HALF
    colour: float = 1.0
    iou: float = 0.99
    samples: int = 4
    reference: Callable[[], Gltf] | None = None
    rest: bool = False
    point_size: float = 0.0
    companions: dict[str, bytes] = field(default_factory=dict)

    def save(self, folder: Path) -> Path:
        """Write the model and its companions into a new folder; the model's path."""
        folder.mkdir()
        for name, data in self.companions.items():
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "reference.glb").write_bytes((self.reference or self.write)().glb())
        (folder / "model.glb").write_bytes(self.write().glb())
        return folder / "model.glb"

    def allows(self, found: Difference) -> bool:
        """Whether the two are as near as they should be."""
        return found.colour <= self.colour and found.iou >= self.iou

    def for_three(self, folder: str) -> dict[str, Any]:
        """What page.js must know of the model in `folder`."""
        return {
            "url": f"{folder}/reference.glb",
            "low": self.low,
            "high": self.high,
            "point_size": self.point_size,
            "rest": self.rest,
        }


def matte(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A material that reflects by its base colour alone, which needs few rays and leaves no room for opinions."""
    return {
        "pbrMetallicRoughness": {"metallicFactor": 0.0} | base,
        "extensions": {"KHR_materials_specular": {"specularFactor": 0.0}},
    } | fields


def unlit(base: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A material that shines by its base colour, so that what is before or behind it casts no shade on it."""
    return {"pbrMetallicRoughness": base, "extensions": {"KHR_materials_unlit": {}}} | fields


def textured_box(
    data: bytes, mime: str = "image/png", *, shape: Shape | None = None, shade: Shade = matte, **fields: Any
) -> Gltf:
    """A box with a picture on each face, or another shape; `fields` are of the material."""
    gltf = Gltf()
    return with_shape(gltf, shade({"baseColorTexture": {"index": gltf.texture(data, mime)}}, **fields), shape)


def with_shape(gltf: Gltf, material: dict[str, Any], shape: Shape | None = None) -> Gltf:
    """`gltf` with a box, or another shape, of this material."""
    shape = shape or box()
    mesh = gltf.mesh(shape.attributes(), shape.indices, material=gltf.add("materials", material))
    gltf.node(mesh=mesh)
    return gltf
