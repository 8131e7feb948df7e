"""The models of a server: loaded when they are first asked for, freed from the one used longest ago."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from inference.sample_photo import LoadedModel
from web.errors import Refused

if TYPE_CHECKING:
    from zero123.pipeline import Zero123Pipeline

Load = Callable[[str], LoadedModel]


class Models:
    """Models by `names`, of which as many stay loaded as `most_bytes` of weights allow, at least one.

    Used by the thread that works off the jobs, and by no other.
    """

    def __init__(self, names: Sequence[str], load: Load, most_bytes: int) -> None:
        self.names = tuple(names)
        self._load, self._most = load, most_bytes
        self._loaded: OrderedDict[str, LoadedModel] = OrderedDict()

    def check(self, name: str | None) -> str:
        """Return the model's name, the first for None. Raises Refused for a model that is not served."""
        if name is None:
            return self.names[0]
        if name not in self.names:
            raise Refused(422, f"model: expected any of {', '.join(self.names)}, got {name[:80]!r}")
        return name

    def get(self, name: str) -> LoadedModel:
        """Return the loaded model; loading may free others first."""
        # Taken out and put back, so that the order is that of use.
        model = self._loaded.pop(name, None) or self._load(name)
        self._loaded[name] = model
        while len(self._loaded) > 1 and sum(map(_bytes_of, self._loaded.values())) > self._most:
            self._loaded.popitem(last=False)
        return model

    @property
    def loaded(self) -> list[str]:
        """The names of the models in memory, the one used last at the end."""
        return list(self._loaded)


def _bytes_of(model: LoadedModel) -> int:
    return weight_bytes(model.pipeline)


def weight_bytes(pipeline: "Zero123Pipeline") -> int:
    """Return the bytes of a pipeline's weights."""
    modules = (pipeline.unet, pipeline.vae, pipeline.image_encoder, pipeline.cc_projection)
    return sum(tensor.numel() * tensor.itemsize for module in modules for tensor in module.parameters())
