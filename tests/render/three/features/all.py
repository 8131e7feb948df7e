"""All features by name."""

from tests.render.three.feature import Feature
from tests.render.three.features.alpha import ALPHA
from tests.render.three.features.colours import COLOURS
from tests.render.three.features.coordinates import COORDINATES
from tests.render.three.features.geometry import GEOMETRY
from tests.render.three.features.materials import MATERIALS
from tests.render.three.features.nodes import NODES
from tests.render.three.features.pictures import PICTURES
from tests.render.three.features.poses import POSES

FEATURES: dict[str, Feature] = {
    **PICTURES, **COORDINATES, **COLOURS, **ALPHA, **MATERIALS, **GEOMETRY, **NODES, **POSES
}  # fmt: skip
