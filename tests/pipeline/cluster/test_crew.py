"""The crew on a real cluster of several nodes: it grows, loses nodes, leaves those that go, and blames no object."""

import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from base.errors import Failure
from pipeline.catalog.rows import Attempt
from pipeline.cluster import Crew
from pipeline.cluster.actor import ClusterGate, buckets_name, kill_workers_of, worker_actor_class, worker_name
from pipeline.cluster.capacity import count_slots
from pipeline.cluster.crew import SPARE
from pipeline.cluster.notice import drain
from pipeline.cluster.session import ray_for
from pipeline.settings import RunSettings
from tests.pipeline.builds import tiny
from tests.pipeline.clusters import NODE, cluster
from tests.pipeline.stub_worker import StubWorker, stub_job, stub_jobs, stub_spec, worked_off

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def ray_cluster() -> Iterator[Any]:
    with cluster() as found:
        yield found


@pytest.fixture
def nodes(ray_cluster: Any) -> Any:
    """The cluster with one node beside its head."""
    for node in sorted(ray_cluster.worker_nodes, key=lambda node: str(node.node_id))[1:]:
        ray_cluster.remove_node(node, allow_graceful=False)
    if not ray_cluster.worker_nodes:
        ray_cluster.add_node(**NODE)
    return ray_cluster


def run_settings(nodes: Any, folder: Path, **run: Any) -> RunSettings:
    return tiny(folder, folder, run={"address": nodes.address, "workers": 0, **run}).run


def log(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def demand(nodes: Any) -> int:
    """What an autoscaler of the cluster sees of workers that wait for a machine."""
    from ray.autoscaler.v2.sdk import get_cluster_status

    found = get_cluster_status(nodes.address).resource_demands.ray_task_actor_demand
    return sum(bundle.count for one in found for bundle in one.bundles_by_count if bundle.bundle.get("CPU") == 1.0)


def test_crew_grows_and_survives_lost_nodes(nodes: Any, tmp_path: Path) -> None:
    (first,) = nodes.worker_nodes
    joined: list[Any] = []

    def disturbed(ends: list[Attempt]) -> bool:
        if not joined and demand(nodes) >= SPARE:  # what an autoscaler goes by
            joined.append(nodes.add_node(**NODE))
        if joined and first in nodes.worker_nodes and any(end.host == joined[0].node_id for end in ends):
            nodes.remove_node(first, allow_graceful=False)
        return first not in nodes.worker_nodes

    with Crew(run_settings(nodes, tmp_path), stub_spec(tmp_path), StubWorker) as crew:
        for job in stub_jobs("slow", 12):
            crew.submit(job)
        ends = worked_off(crew, disturbed)
    begun = [line.split()[0] for line in log(tmp_path) if "begins" in line]
    assert sorted(end.uid for end in ends) == sorted(set(begun)), "each that was begun ended once"
    assert len(begun) <= len(ends) + 1, "only what the lost node was at was begun again"


def answer_for(seconds: float, worker: Any) -> None:
    import ray

    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ray.get(worker.ready.remote())


def test_workers_end_whose_builder_is_followed_and_no_others(nodes: Any, tmp_path: Path) -> None:
    import ray

    with ray_for(run_settings(nodes, tmp_path)):
        of = {
            builder: worker_actor_class(0.1, 0)
            .options(name=worker_name(builder, 0))
            .remote(stub_spec(tmp_path), StubWorker)
            for builder in ("silent", "silent-2", "another")
        }
        for worker in of.values():
            ray.get(worker.ready.remote())
        kill_workers_of([])
        kill_workers_of(["silent", "unheard of"])
        with pytest.raises(ray.exceptions.ActorDiedError):
            answer_for(60.0, of["silent"])
        for builder in ("silent-2", "another"):
            assert ray.get(of[builder].ready.remote())


def test_draining_node_finishes_its_job(nodes: Any, tmp_path: Path) -> None:
    going, staying = *nodes.worker_nodes, nodes.add_node(**NODE)
    noticed: list[int] = []

    def moved(ends: list[Attempt]) -> bool:
        if {end.host for end in ends} == {going.node_id, staying.node_id} and not noticed:
            assert drain(nodes.address, 600, going.node_id) == 0
            noticed.append(len(ends))
        return bool(noticed) and len(ends) >= noticed[0] + 8 and {end.host for end in ends[-8:]} == {staying.node_id}

    with Crew(run_settings(nodes, tmp_path), stub_spec(tmp_path), StubWorker) as crew:
        for job in stub_jobs("slow", 12):
            crew.submit(job)
        ends = worked_off(crew, moved)
    assert {end.host for end in ends[-8:]} == {staying.node_id}
    assert len(log(tmp_path)) == 2 * len(ends), "nothing was lost"
    nodes.remove_node(going)


def test_fatal_job_is_tried_alone_then_lost(nodes: Any, tmp_path: Path) -> None:
    nodes.add_node(**NODE)
    run = run_settings(nodes, tmp_path, infrastructure_losses=1)
    with Crew(run, stub_spec(tmp_path), StubWorker) as crew:
        for job in (*stub_jobs("deadly", 1), *stub_jobs("slow", 6)):
            crew.submit(job)
        ends = {done.job.name: done.answer for done in crew.results() if done is not None}
    assert ends.pop("deadly0") is None
    assert len(ends) == 6
    assert all(isinstance(end, Attempt) and end.outcome == "ok" for end in ends.values())
    lines = log(tmp_path)
    assert lines.count("deadly0 begins") == 3, "one loss is free, then alone"
    assert lines[-1] == "deadly0 begins", "when all the others had ended"
    assert len(lines) == 3 + 2 * 6, "no healthy one was begun twice"


def test_the_last_ones_are_told_with_phase_and_host(nodes: Any, tmp_path: Path) -> None:
    import socket

    with Crew(run_settings(nodes, tmp_path), stub_spec(tmp_path), StubWorker) as crew:
        crew.submit(stub_jobs("long", 1)[0])
        for _ in crew.results():
            if (tmp_path / "log").exists():
                break
        (told,) = crew.oldest_running(5)
        assert told.name == "long0"
        assert told.phase == "sample"
        assert told.host == socket.gethostname()
        crew.give_up_items()
        assert crew.waiting == 0
        assert crew.in_flight == 0
        assert list(crew.results()) == []


def test_what_a_hub_said_to_one_build_holds_for_the_next(nodes: Any, tmp_path: Path) -> None:
    spec = stub_spec(tmp_path)
    gate = ClusterGate(buckets_name(spec.fetch))
    job = stub_job("quick", "fetched")
    far = replace(job, item=replace(job.item, location="https://hub.example/fetched.glb"))
    for said_s in (60.0, 0.0):
        with Crew(run_settings(nodes, tmp_path), spec, StubWorker) as crew:
            crew.submit(far)
            assert [end.uid for end in worked_off(crew)] == ["fetched"]
            gate.close("hub.example anyone", said_s)
            assert 0.0 < gate.closed_s("hub.example anyone") <= 60.0
            assert gate.take("hub.example anyone") > 0.0
            assert gate.take("another.example anyone") == 0.0
        gate = ClusterGate(buckets_name(spec.fetch))


def test_each_worker_has_a_gpu_of_its_own(nodes: Any, tmp_path: Path) -> None:
    with_gpus = nodes.add_node(**{**NODE, "num_cpus": 8, "num_gpus": 2})
    run = run_settings(nodes, tmp_path, gpus_per_worker=1.0)
    with Crew(run, stub_spec(tmp_path), StubWorker) as crew:
        for job in stub_jobs("slow", 6):
            crew.submit(job)
        ends = worked_off(crew)
        assert crew.workers == 2
    assert {end.device for end in ends} == {"0", "1"}
    nodes.remove_node(with_gpus)


def test_prometheus_finds_outcomes_seconds_and_the_queue(nodes: Any, tmp_path: Path) -> None:
    import ray

    wanted = {
        'ray_zero123_objects_total{outcome="ok"}': 3.0,
        'ray_zero123_phase_seconds_count{phase="sample"}': 3.0,
        "ray_zero123_waiting": 0.0,
        "ray_zero123_in_flight": 1.0,
        "ray_zero123_workers": 1.0,
        "ray_zero123_slots": 1.0,
    }
    with Crew(run_settings(nodes, tmp_path), stub_spec(tmp_path), StubWorker) as crew:
        for job in (*stub_jobs("quick", 3), *stub_jobs("long", 1)):
            crew.submit(job)
        deadline = time.monotonic() + 300
        for _ in crew.results():
            found = scraped([node["MetricsExportPort"] for node in ray.nodes() if node["Alive"]])
            if found.items() >= wanted.items():
                break
            assert time.monotonic() < deadline, found
        crew.give_up_items()


def scraped(ports: list[int]) -> dict[str, float]:
    """Our own meters at the nodes of this machine, by name and own labels."""
    found = {}
    for port in ports:
        try:
            with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
                text = answer.read().decode()
        except OSError:
            continue  # its agent is not up yet
        for line in text.splitlines():
            if line.startswith("ray_zero123_"):
                name, _, labels = line.rpartition(" ")[0].partition("{")
                own = ",".join(re.findall(r'(?:outcome|phase)="[^"]*"', labels))
                found[f"{name}{{{own}}}" if own else name] = float(line.rpartition(" ")[2])
    return found


def test_a_machine_with_other_code_is_named_before_it_works(
    nodes: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.cluster.crew.code_digest", lambda *_: "0" * 16)
    with Crew(run_settings(nodes, tmp_path), stub_spec(tmp_path), StubWorker) as crew:
        crew.submit(stub_jobs("quick", 1)[0])
        with pytest.raises(Failure, match=r"expected the driver's code and packages \(0{16}\), got"):
            list(crew.results())
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("resources", "cpus", "gpus", "fit"),
    [
        ({"CPU": 8.0}, 1.0, 0.0, 8),
        ({"CPU": 8.0}, 3.0, 0.0, 2),
        ({"CPU": 0.3}, 0.1, 0.0, 3),
        ({"CPU": 8.0}, 1.0, 1.0, 0),
        ({"CPU": 8.0, "GPU": 2.0}, 1.0, 1.0, 2),
        ({"CPU": 8.0, "GPU": 2.0}, 1.0, 0.3, 6),
        ({"CPU": 3.0, "GPU": 2.0}, 1.0, 0.5, 3),
        ({"CPU": 8.0, "GPU": 5.0}, 1.0, 2.0, 2),
        ({"GPU": 4.0}, 1.0, 0.0, 0),
    ],
)
def test_as_many_workers_fit_as_cpus_and_whole_gpus_allow(
    tmp_path: Path, resources: dict[str, float], cpus: float, gpus: float, fit: int
) -> None:
    run = tiny(tmp_path, tmp_path, run={"cpus_per_worker": cpus, "gpus_per_worker": gpus}).run
    assert count_slots(resources, run) == fit
