"""From a model file to views: the random draws for an object, and the supervised Blender child for the rendering.

`from render import render_object`; see `render.standalone.render_object`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from render.standalone import render_object

__all__ = ["render_object"]


def __getattr__(name: str) -> Any:
    # On first use: the Blender child imports modules of this package and must stay light.
    if name in __all__:
        from render.standalone import render_object

        return render_object
    raise AttributeError(f"module 'render' has no attribute {name!r}")
