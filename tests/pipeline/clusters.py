"""A real Ray cluster of several nodes on this machine, in a folder of its own, and nobody else's Ray touched."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pipeline.cluster.session import ray_folder

HEAD = {"num_cpus": 0, "include_dashboard": False, "object_store_memory": 75 << 20, "node_ip_address": "127.0.0.1"}
NODE = {"num_cpus": 1, "object_store_memory": 75 << 20, "node_ip_address": "127.0.0.1"}


@contextmanager
def cluster(**head: Any) -> Iterator[Any]:
    """A head without CPUs, and whatever nodes are added to it. This process may join it by its address."""
    with ray_folder() as folder, pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "RAY_TMPDIR": str(folder),
            "RAY_AUTH_MODE": os.environ.get("RAY_AUTH_MODE", "token"),
            "RAY_AUTH_TOKEN": os.environ.get("RAY_AUTH_TOKEN", secrets.token_hex(32)),
            "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
            "RAY_metrics_report_interval_ms": "500",
        }.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        patch.setattr("ray._private.ray_constants.ENABLE_RAY_CLUSTER", False)  # 127.0.0.1 stays 127.0.0.1

        found = Cluster(initialize_head=True, head_node_args={**HEAD, "no_monitor": True, **head})
        try:
            yield found
        finally:
            found.shutdown()
