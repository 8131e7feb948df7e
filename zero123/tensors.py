"""A part of a model out of a folder, strictly: a configuration and exactly the expected tensors.

Nothing in the folder is run. The network is first laid out without memory and compared with the file's header. A
hostile configuration then cannot ask for more memory than the file is long.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from base.errors import Failure

M = TypeVar("M", bound=nn.Module)
T = TypeVar("T")

MAX_JSON_BYTES = 1 << 20
WEIGHT_NAMES = ("diffusion_pytorch_model.safetensors", "model.safetensors")
BESIDE = re.compile(r"[\w.-]+\.safetensors")
"""What an index may name: files in its own folder."""
SHOWN = 3
ALIGNMENT_BYTES = 64


def read_json(path: Path) -> dict[str, Any]:
    """The mapping in a small JSON file. Raises Failure naming the file."""
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise Failure(f"{path}: expected at most {MAX_JSON_BYTES} bytes of JSON")
        value = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Failure(f"{path}: expected a readable file, got: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise Failure(f"{path}: expected JSON, got something else") from None
    if not isinstance(value, dict):
        raise Failure(f"{path}: expected a JSON object, got {type(value).__name__}")
    return value


def load_module(cls: type[M], folder: Path) -> M:
    """A module of class `cls` from `config.json` and safetensors in `folder`, in a file or several, unchanged.

    Raises Failure naming the folder for weights in any other form, a configuration of another class, and missing,
    unknown or misshapen tensors.
    """
    config = read_json(folder / "config.json")
    weights = weights_in(folder)
    module = build_without_memory(cls, config, folder)
    # By headers, before a byte of weights is read.
    check_shapes(shapes_of(module.state_dict()), weights.shapes(), where=str(weights.where))
    fill(module, weights.tensors(), where=str(weights.where))
    return module


def fill(module: nn.Module, tensors: dict[str, Tensor], *, where: str) -> None:
    """Give a module laid out without memory its tensors, copied only where they are not aligned.

    Raises Failure, opening with `where`, for a missing, unknown, misshapen or non-finite tensor.
    """
    check_shapes(shapes_of(module.state_dict()), shapes_of(tensors), where=where)
    check_finite(tensors, where=where)
    # Assigned: copying into a network already in memory would need twice the space.
    module.load_state_dict({name: align(tensor) for name, tensor in tensors.items()}, strict=True, assign=True)
    for name, buffer in module.named_buffers():
        if buffer.is_meta:
            _restore(module, name, buffer, where)


@dataclass(frozen=True)
class Weights:
    """A part's safetensors: `where` is its single file of `files`, or the index of several.

    Each method raises Failure naming the file for another format, or a tensor in two files.
    """

    where: Path
    files: tuple[Path, ...]

    def tensors(self) -> dict[str, Tensor]:
        """All tensors, on the CPU."""
        return self._whole(read_tensors)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shapes of all tensors, by the files' headers alone."""
        return self._whole(_shapes_in)

    def _whole(self, read: Callable[[Path], dict[str, T]]) -> dict[str, T]:
        whole: dict[str, T] = {}
        for file in self.files:
            part = read(file)
            for name in part.keys() & whole.keys():
                raise Failure(f"{file}: expected each tensor once, got {name} again")
            whole |= part
        return whole


def weights_in(folder: Path) -> Weights:
    """The safetensors in a part's folder: a file, or the files of an index beside them, as at Hugging Face.

    Raises Failure without any, with pickled weights or not, and for an index of other files.
    """
    for name in WEIGHT_NAMES:
        whole, index = folder / name, folder / f"{name}.index.json"
        if whole.is_file():
            return Weights(whole, (whole,))
        if index.is_file():
            return Weights(index, _named_by(index))
    others = sorted(path.name for path in folder.glob("*.bin")) if folder.is_dir() else []
    got = f"{', '.join(others)}, which can run code and is not opened" if others else "nothing"
    raise Failure(f"{folder}: expected weights as safetensors, got {got}")


def _named_by(index: Path) -> tuple[Path, ...]:
    named = read_json(index).get("weight_map")
    files = list(named.values()) if isinstance(named, dict) else []
    for name in files or [named]:
        if not isinstance(name, str) or not BESIDE.fullmatch(name) or not (index.parent / name).is_file():
            raise Failure(f"{index}: expected the names of safetensors files beside it, got {str(name)[:80]!r}")
    return tuple(index.parent / name for name in sorted(set(files)))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file, mapped from it until they are used. Raises Failure naming the file."""
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 -- no mapping
    except (OSError, SafetensorError) as error:
        raise Failure(f"{path}: expected safetensors, got: {error}") from None


def read_shaped(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file, the same as in `shapes`, by name. Raises Failure naming file and
    tensor."""
    tensors = read_tensors(path)
    check_shapes(shapes, shapes_of(tensors), where=str(path))
    return tensors


def build_without_memory(cls: type[M], config: dict[str, Any], folder: Path) -> M:
    """Return the network of the configuration in `folder`, without memory. Raises Failure for any other
    configuration."""
    # diffusers writes `_class_name`, transformers `architectures`.
    named = config.get("_class_name", (config.get("architectures") or [cls.__name__])[0])
    if named != cls.__name__:
        raise Failure(f"{folder / 'config.json'}: expected a {cls.__name__}, got {named}")
    try:
        with torch.device("meta"):
            if cls is CLIPVisionModelWithProjection:
                return cls(CLIPVisionConfig.from_dict(config))
            return cast("Any", cls).from_config(config)  # type: ignore[no-any-return]
    except Exception as error:  # noqa: BLE001 -- libraries raise anything for a configuration of nonsense
        raise Failure(f"{folder / 'config.json'}: expected a {cls.__name__}, got: {error}") from None


def _shapes_in(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 -- no mapping
    except (OSError, SafetensorError) as error:
        raise Failure(f"{path}: expected safetensors, got: {error}") from None


def align(tensor: Tensor) -> Tensor:
    """Return the tensor at an address like PyTorch's own.

    A file's slices have any address. On some processors that changes the order of sums: a saved and loaded model would
    not give the same views to the bit.
    """
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT_BYTES else tensor


def shapes_of(tensors: Mapping[str, Tensor]) -> dict[str, tuple[int, ...]]:
    """The shapes of tensors by name."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def check_shapes(expected: Mapping[str, tuple[int, ...]], got: Mapping[str, tuple[int, ...]], *, where: str) -> None:
    """Raise Failure unless `got` names the expected tensors, no more and no fewer, in their shapes."""
    check_names(expected, got, where=where)
    for name, shape in expected.items():
        if got[name] != shape:
            raise Failure(f"{where}: {name}: expected shape {list(shape)}, got {list(got[name])}")


def check_finite(tensors: Mapping[str, Tensor], *, where: str) -> None:
    """Raise Failure naming the first tensor with NaN or infinity: every view would be black or noise."""
    for name, tensor in tensors.items():
        # A sum allocates nothing; it is infinite also for finite numbers that are very large, so look again then.
        if not tensor.sum(dtype=torch.float32).isfinite() and not tensor.isfinite().all():
            raise Failure(f"{where}: {name}: expected finite numbers, got NaN or infinity")


def check_names(expected: Any, got: Any, *, where: str) -> None:
    """Raise Failure unless both hold the same names."""
    for word, names in (
        ("no missing tensor", set(expected) - set(got)),
        ("no unknown tensor", set(got) - set(expected)),
    ):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            raise Failure(f"{where}: expected {word}, got {', '.join(sorted(names)[:SHOWN])}{more}")


def _restore(module: nn.Module, name: str, buffer: Tensor, where: str) -> None:
    """CLIP counts its positions in an unsaved buffer."""
    owner, _, leaf = name.rpartition(".")
    if leaf != "position_ids":
        raise Failure(f"{where}: expected weights for every tensor, got nothing for {name}")
    positions = torch.arange(buffer.shape[-1]).expand(buffer.shape)
    module.get_submodule(owner).register_buffer(leaf, positions, persistent=False)
