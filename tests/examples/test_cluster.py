"""The files of examples/cluster agree with the project: its packages, its Ray, its commands."""

import argparse
import re
import runpy
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.commands import sample

ROOT = Path(__file__).parents[2]
BOOTSTRAP = runpy.run_path(str(ROOT / "bootstrap.py"))
CLUSTER = ROOT / "examples" / "cluster"
SPEC = {
    "entrypoint", "shutdownAfterJobFinishes", "ttlSecondsAfterFinished", "backoffLimit", "rayClusterSpec",
}  # fmt: skip
"""Fields of KubeRay's RayJob v1, and below of its RayCluster and groups."""
CLUSTER_SPEC = {"rayVersion", "enableInTreeAutoscaling", "headGroupSpec", "workerGroupSpecs"}
HEAD = {"rayStartParams", "template"}
WORKERS = HEAD | {"groupName", "replicas", "minReplicas", "maxReplicas"}


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return dict(yaml.safe_load((CLUSTER / "rayjob.yaml").read_text()))


def sample_options(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    sample.configure(parser)
    return parser.parse_args(words)


def test_manifest_has_the_fields_of_kuberay(job: dict[str, Any]) -> None:
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    assert set(job["spec"]) == SPEC
    cluster = job["spec"]["rayClusterSpec"]
    assert set(cluster) == CLUSTER_SPEC
    assert set(cluster["headGroupSpec"]) == HEAD
    for group in cluster["workerGroupSpecs"]:
        assert set(group) == WORKERS
        assert 0 <= group["minReplicas"] <= group["replicas"] <= group["maxReplicas"]
    for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"]):
        # Ray's options are texts, and a number is refused by the server.
        assert all(isinstance(value, str) for value in group["rayStartParams"].values())
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
        assert container["resources"]["requests"] == container["resources"]["limits"]


def test_manifest_runs_a_command_on_the_pinned_ray(job: dict[str, Any]) -> None:
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert job["spec"]["rayClusterSpec"]["rayVersion"] == pinned[1]
    program, command, *words = shlex.split(job["spec"]["entrypoint"])
    assert (program, command) == ("zero123", "sample")
    assert sample_options(words).on == "ray"


def test_image_installs_what_bootstrap_asks_for() -> None:
    text = (CLUSTER / "Dockerfile").read_text()
    packages = set(re.findall(r"[\w.-]+", text.partition("--no-install-recommends")[2].partition("&&")[0]))
    python = "python{}.{}".format(*BOOTSTRAP["PYTHON"])
    assert packages == {*BOOTSTRAP["LIBRARIES"].values(), python, f"{python}-venv", "ca-certificates", "wget"}
    assert f"RUN {python} bootstrap.py" in text
    assert re.search(r"^USER 1000$", text, re.MULTILINE)
    ignored = (CLUSTER / "Dockerfile.dockerignore").read_text().split()
    assert {".venv", ".git"} <= set(ignored)


def test_batch_script_is_a_script_whose_example_parses() -> None:
    script = CLUSTER / "slurm.sbatch"
    assert subprocess.run(["bash", "-n", script], check=False).returncode == 0
    text = script.read_text()
    example = re.search(r"^#   sbatch (.+)\\\n#(.+)$", text, re.MULTILINE)
    assert example is not None
    path, command, *words = shlex.split(example[1] + example[2])
    assert ROOT / path == script
    assert command == "sample"
    assert sample_options(words).overrides == ["run.gpus_per_worker=1"]
    assert "ray stop" not in text
