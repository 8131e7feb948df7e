"""A Ray cluster of several nodes on this machine, each of which may be killed: `python -m tests.pipeline.nodes COUNT`.

It lives in a process of its own, since Ray keeps much about itself in the environment and in modules.
"""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from pipeline.cluster.session import ray_folder
from tests.pipeline.processes import below, children, command

ROOT = Path(__file__).parents[2]
ALONE = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_USAGE_STATS_REPORT_URL": "http://127.0.0.1:9/",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_worker_niceness": "0",
}
"""Ray reports to nobody, takes 127.0.0.1 in an address for that and not for what else this machine is called, and has
its workers wait for nobody."""
TRIES = 3
QUICK = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_timeout_ms": 5000,
    "health_check_failure_threshold": 10,
}
"""A node that was killed counts as lost after 5 s; one that only is slow has ten times as long."""


def serve() -> None:
    """Start a head and so many nodes, each of one CPU; another for each line of input; all end with the input."""
    from ray.cluster_utils import Cluster

    common: dict[str, Any] = {
        "include_dashboard": False,
        "object_store_memory": 75 << 20,
        "node_ip_address": "127.0.0.1",
        "temp_dir": f"{os.environ['RAY_TMPDIR']}/ray",
    }
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "_system_config": QUICK, **common})

    def added() -> int:
        node = cluster.add_node(wait=False, num_cpus=1, **common)
        return int(node.all_processes["raylet"][0].process.pid)

    def say(message: object) -> None:
        os.write(answers, json.dumps(message).encode() + b"\n")

    head = cluster.head_node.all_processes["raylet"][0].process.pid
    say({"address": cluster.address, "head": head, "raylets": [added() for _ in range(int(sys.argv[1]))]})
    for _ in sys.stdin:
        say(added())
    cluster.shutdown()


def without_ray() -> dict[str, str]:
    """The environment, less what this process told its own Ray."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}


class Nodes:
    """A context manager: a cluster of a head and `count` nodes that may be killed, by their raylets' numbers."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _start(self) -> None:
        """Start the cluster; where a very busy machine kept Ray from starting in its time, once more."""
        for _ in range(TRIES):
            self._launch()
            started = self._answer()
            if started:
                break
            self.kill()
        assert started, f"Ray did not start in {TRIES} tries"
        self.address: str = started["address"]
        self.head: int = started["head"]
        self.raylets: list[int] = started["raylets"]

    def _launch(self) -> None:
        self._held = ExitStack()
        folder = self._held.enter_context(ray_folder())
        (folder / "ray").mkdir()
        own = {**ALONE, "PYTHONPATH": str(ROOT), "RAY_TMPDIR": str(folder)}
        self._server = subprocess.Popen(
            [sys.executable, "-m", "tests.pipeline.nodes", str(self._count)],
            cwd=ROOT,
            env={**without_ray(), **own},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def _answer(self) -> Any:
        assert self._server.stdout is not None
        return json.loads(self._server.stdout.readline() or "null")

    def workers(self) -> list[int]:
        """The actors that are alive, on any node."""
        kin = children()
        return [pid for raylet in (self.head, *self.raylets) for pid in kin.get(raylet, ()) if _is_actor(command(pid))]

    def kill_node(self, index: int) -> None:
        """End a node and all it runs at once, as when its machine is taken away."""
        self._end(self.raylets.pop(index))

    def kill_every_node(self) -> None:
        """End all nodes, that by which a build is joined too, but not the cluster's memory."""
        for raylet in (self.head, *self.raylets):
            self._end(raylet)
        self.raylets.clear()

    def add_node(self) -> None:
        """Bring one more node."""
        assert self._server.stdin is not None
        self._server.stdin.write("\n")
        self._server.stdin.flush()
        self.raylets.append(self._answer())

    def kill(self) -> None:
        """End the whole cluster at once, head and all."""
        self._end(self._server.pid)
        self._server.wait()
        for stream in (self._server.stdin, self._server.stdout):
            with suppress(OSError):
                stream.close()  # type: ignore[union-attr]
        self._held.close()

    def start_again(self) -> None:
        """A new cluster after `kill`."""
        self._start()

    @staticmethod
    def _end(pid: int) -> None:
        for one in [pid, *below(pid)]:
            with suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)


def _is_actor(line: str) -> bool:
    return line.startswith("ray::") and not line.startswith("ray::IDLE") and "Agent" not in line


if __name__ == "__main__":
    answers = os.dup(1)
    os.dup2(2, 1)
    serve()
