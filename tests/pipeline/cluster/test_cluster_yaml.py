"""Every cluster file that ships is one that Ray's launcher takes, checked offline with its own code."""

import copy
import importlib.util
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILE = ROOT / "pipeline.yaml"
AWS_STARTS, AWS_ENDS = "# The same on AWS:", "metadata:\n"


def shipped() -> dict[str, Any]:
    values = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    assert isinstance(values, dict)
    return values


def commented_aws() -> dict[str, Any]:
    """The commented section as a reader would uncomment it."""
    text = FILE.read_text(encoding="utf-8")
    block = text[text.index(AWS_STARTS) : text.index(AWS_ENDS)]
    _, _, lines = block.partition("\n#\n")
    values = yaml.safe_load(re.sub("^# ?", "", lines, flags=re.MULTILINE))
    assert isinstance(values, dict)
    return values


def validate(values: Mapping[str, Any]) -> dict[str, Any]:
    """`values` as Ray fills them in. Raises what `ray up` would."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(copy.deepcopy(dict(values)))
    validate_config(config)
    return dict(config)


CLUSTERS = {"local": shipped(), "aws": {**shipped(), **commented_aws()}}


@pytest.mark.parametrize("name", CLUSTERS)
def test_ray_accepts_it_and_keeps_our_settings(name: str) -> None:
    assert validate(CLUSTERS[name])["metadata"] == shipped()["metadata"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_an_unknown_key_would_be_refused(name: str) -> None:
    with pytest.raises(Exception, match="Additional properties are not allowed"):
        validate({**CLUSTERS[name], "pipeline": {}})


def test_spot_workers_and_a_head_that_stays() -> None:
    config = validate(CLUSTERS["aws"])
    head, gpu = (config["available_node_types"][name] for name in ("head", "gpu"))
    assert config["head_node_type"] == "head"
    assert "InstanceMarketOptions" not in head["node_config"]
    assert gpu["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert gpu["resources"]["GPU"] == 1
    assert gpu["min_workers"] == 0


@pytest.mark.parametrize("name", CLUSTERS)
def test_nodes_use_the_mounted_token(name: str) -> None:
    config = CLUSTERS[name]
    commands = "\n".join(config["setup_commands"])
    assert "RAY_AUTH_MODE=token" in commands
    assert "RAY_USAGE_STATS_ENABLED=0" in commands
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("--dashboard-host=127.0.0.1" in line for line in config["head_start_ray_commands"])
    assert "RAY_AUTH_TOKEN=" not in FILE.read_text(encoding="utf-8")


def test_mounts_cover_the_installation() -> None:
    mounts = {local: remote for remote, local in shipped()["file_mounts"].items() if "zero123/" in remote}
    rooms = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests", "bench"}
    files = {"LICENSE", "README.md", "bootstrap.py", "constraints.txt", "pipeline.yaml", "pyproject.toml"}
    assert set(mounts) == rooms | files | {"examples"}
    assert all(remote == f"~/zero123/{local}" and (ROOT / local).exists() for local, remote in mounts.items())


def test_cloud_libraries_match_bootstrap() -> None:
    spec = importlib.util.spec_from_file_location("bootstrap_for_clusters", ROOT / "bootstrap.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    installed = " ".join(commented_aws()["initialization_commands"]).split()
    assert set(module.LIBRARIES.values()) <= set(installed)
