"""Low-rank adapters on the UNet (LoRA, arXiv 2106.09685): W x + (alpha / rank) B A x, with W frozen.

peft makes the layers. An adapter's folder has the trained tensors and the base they belong to, not the base itself.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor, nn

from base.digest import canonical_json, digest_json
from base.errors import Failure, UsageError
from base.storage import write_atomically
from base.typed import parse_typed_json
from zero123.attention import find_idle_parameters
from zero123.encoders import weights_digest
from zero123.model import Zero123Model, trained_parts
from zero123.tensors import read_json, read_shaped, shapes_of
from zero123.trained import has_adapters, is_adapter, trained_parameters

NAME = "lora"
DESCRIPTION, TENSORS = "adapter.json", "adapter.safetensors"
FROZEN = ".base_layer."
MAX_RANK = 1024


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """What an adapter is: rank, alpha, the ends of its layers' names, and its base by name and digest."""

    rank: int
    alpha: float
    targets: tuple[str, ...]
    base: str
    base_digest: str

    def __post_init__(self) -> None:
        # Layers are made before any tensor is read, so a stranger's file must not ask for huge ones.
        if not 1 <= self.rank <= MAX_RANK:
            raise ValueError(f"a rank from 1 to {MAX_RANK}, got {self.rank}")


def add_adapters(model: Zero123Model, rank: int, alpha: float, targets: tuple[str, ...], seed: int) -> None:
    """Add an adapter to each linear layer and convolution of the UNet with a name that ends in one of `targets`.

    B begins at 0, so the answers stay as they are. Raises UsageError if no layer has such a name, Failure without peft.
    """
    try:
        from peft import LoraConfig
    except ImportError:
        raise Failure("train.lora: expected peft, got nothing: `pip install -c constraints.txt -e '.[lora]'`") from None
    # Full names, since peft would match a bare ending in more places than meant.
    layers = _layers(model, targets)
    if not layers:
        raise UsageError(f"train.lora.targets: expected ends of names of the UNet's layers, got {', '.join(targets)}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        config = LoraConfig(
            r=rank,
            lora_alpha=alpha,  # type: ignore[arg-type]  # a float is as good
            target_modules=layers,
            bias="none",
        )
        model.unet.add_adapter(config, NAME)


def merged_unet(unet: UNet2DConditionModel) -> UNet2DConditionModel:
    """Return a plain UNet with the adapters added to its weights. Weights without an adapter are shared."""
    # peft wraps a layer and keeps its weights as `base_layer`; a plain UNet has the old names.
    state = {name.replace(FROZEN, "."): tensor for name, tensor in unet.state_dict().items() if not is_adapter(name)}
    for name, layer in unet.named_modules():
        if NAME in getattr(layer, "lora_A", {}):
            with torch.no_grad():
                state[f"{name}.weight"] = state[f"{name}.weight"] + layer.get_delta_weight(NAME)
    with torch.device("meta"):
        plain = UNet2DConditionModel.from_config(unet.config)
    # Assigned, so that weights without an adapter are shared and not copied.
    plain.load_state_dict(state, assign=True)
    return plain.eval().requires_grad_(requires_grad=False)


@contextmanager
def merged_adapters(model: Zero123Model) -> Iterator[None]:
    """Within the block, the model has a plain UNet, with its adapters merged; without adapters, nothing changes."""
    unet = model.unet
    try:
        if has_adapters(unet):
            model.unet = merged_unet(unet)
        yield
    finally:
        model.unet = unet


def save_adapter(folder: Path, adapter: Adapter, parameters: Mapping[str, Tensor]) -> None:
    """Write the description and the trained tensors, named as in training: `unet.…`, `cc_projection.…`."""
    folder.mkdir(parents=True)
    save_file({name: tensor.detach().contiguous() for name, tensor in parameters.items()}, folder / TENSORS)
    write_atomically(folder / DESCRIPTION, (json.dumps(asdict(adapter), indent=2) + "\n").encode())


def read_adapter(folder: Path) -> Adapter:
    """Read the description. Raises Failure naming the file."""
    path = folder / DESCRIPTION
    try:
        return parse_typed_json(Adapter, canonical_json(read_json(path)))
    except (TypeError, ValueError) as error:
        raise Failure(f"{path}: expected an adapter, got: {' '.join(str(error).split())[:200]}") from None


def load_adapter(folder: Path, parameters: Mapping[str, nn.Parameter]) -> None:
    """Copy the stored tensors into trained parameters. Raises Failure for missing, unknown or misshapen tensors."""
    stored = read_shaped(folder / TENSORS, shapes_of(parameters))
    with torch.no_grad():
        for name, parameter in parameters.items():
            # Copied in place: optimisers and compiled code hold these parameters.
            parameter.copy_(stored[name])


def open_adapted(folder: Path, open_base: Callable[[str], Zero123Model]) -> Zero123Model:
    """Open the model of an adapter's folder, merged. `open_base` opens a model by its name.

    Raises Failure if the base has other weights than those the adapter was trained on.
    """
    adapter = read_adapter(folder)
    model = open_base(adapter.base)
    check_base(adapter, base_digest(model), folder)
    add_adapters(model, adapter.rank, adapter.alpha, adapter.targets, 0)
    load_adapter(folder, trained_parameters(model))
    model.unet = merged_unet(model.unet)
    return model


def base_digest(model: Zero123Model) -> str:
    """Return 16 hexadecimal digits of the weights of a model's trained parts, before it has adapters."""
    return digest_json({part: weights_digest(module) for part, module in trained_parts(model).items()})


def check_base(adapter: Adapter, digest: str, folder: Path) -> None:
    """Raise Failure unless the base's weights have the adapter's digest."""
    if digest != adapter.base_digest:
        raise Failure(
            f"{folder / DESCRIPTION}: expected the base {adapter.base} with the digest {adapter.base_digest}, "
            f"got {digest}: its weights have changed"
        )


def _layers(model: Zero123Model, targets: tuple[str, ...]) -> list[str]:
    """Name the layers to adapt, without those that have no influence."""
    idle = find_idle_parameters(model.unet) if model.context_tokens == "one" else set()
    return [
        name
        for name, layer in model.unet.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d)
        and f"{name}.weight" not in idle
        and any(name == target or name.endswith(f".{target}") for target in targets)
    ]
