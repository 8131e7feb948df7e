"""The HTTP API: photos, cut-outs, views, jobs, files; and what it refuses."""

import io
import json
import os
import threading
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi.testclient import TestClient
from PIL import Image

from tests.web.conftest import HW, Painter, picture_bytes, pixels_of
from web.cutouts import cut
from web.guard import HEADERS, LOOPBACK, Access

MOVE = {"up_deg": 10, "right_deg": 40}


def bring(client: TestClient, data: bytes | None = None) -> dict[str, Any]:
    answer = client.post("/api/photos", content=picture_bytes() if data is None else data)
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


def ended(client: TestClient, job: dict[str, Any]) -> dict[str, Any]:
    until = time.monotonic() + 30
    while job["state"] in ("waiting", "running"):
        assert time.monotonic() < until, job
        job = client.get(job["url"], params={"version": job["version"], "wait_s": 5}).json()
    return job


def views(client: TestClient, photo: dict[str, Any], **body: Any) -> dict[str, Any]:
    answer = client.post(f"/api/photos/{photo['photo']}/views", json=body or {"moves": [MOVE]})
    assert answer.status_code == 202, answer.text
    return ended(client, answer.json())


def error_of(answer: Any, status: int) -> str:
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"error"}
    return str(answer.json()["error"])


def test_a_photo_becomes_a_view(client: TestClient) -> None:
    photo = bring(client)
    assert photo["width"] == 64
    assert photo["height"] == 64
    assert photo["doubt"] == ""
    assert photo["has_object"] is True
    cut_out = pixels_of(client.get(photo["cut_out"]).content)
    assert cut_out[32, 32, 3] == 255
    assert cut_out[2, 2, 3] == 0
    job = views(client, photo)
    assert job["state"] == "done"
    picture = client.get(job["files"][0]["url"])
    assert picture.headers["content-type"] == "image/png"
    assert pixels_of(picture.content).shape == (*HW, 3)


def test_the_same_request_is_the_same_job_and_another_seed_another(client: TestClient, painter: Painter) -> None:
    photo = bring(client)
    first, again = views(client, photo), views(client, photo)
    assert first["job"] == again["job"]
    assert painter.views == 1
    other = views(client, photo, moves=[MOVE], seed=1)
    assert other["job"] != first["job"]
    assert client.get(other["files"][0]["url"]).content != client.get(first["files"][0]["url"]).content


def test_a_photo_brought_twice_gives_the_same_pictures(client: TestClient) -> None:
    first, second = (views(client, bring(client), moves=[MOVE], seed=7)["files"][0]["url"] for _ in range(2))
    assert first != second
    assert client.get(first).content == client.get(second).content


def test_the_quick_view_takes_fewer_steps(client: TestClient) -> None:
    photo = bring(client)
    quick, good = (views(client, photo, moves=[MOVE], quality=quality) for quality in ("quick", "good"))
    assert (quick["kind"], good["kind"]) == ("quick view", "good view")
    assert client.get(quick["files"][0]["url"]).content != client.get(good["files"][0]["url"]).content


def test_an_orbit_has_its_views_and_a_film_and_guesses_differ(client: TestClient) -> None:
    photo = bring(client)
    orbit = views(client, photo, orbit=4)
    assert [file["kind"] for file in orbit["files"]] == ["view"] * 4 + ["film"]
    guesses = views(client, photo, moves=[MOVE], guesses=3)
    assert len({client.get(file["url"]).content for file in guesses["files"]}) == 3


def test_several_guesses_take_more_steps_than_a_single_view(client: TestClient) -> None:
    photo = bring(client)
    jobs = [views(client, photo, moves=[MOVE], guesses=count)["job"] for count in (1, 2)]
    packed = client.get(f"/api/photos/{photo['photo']}/results.zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        steps = [json.loads(archive.read(f"{job}/views.json"))["sampling"]["steps"] for job in jobs]
    assert steps == [4, 20]


def test_one_request_is_enough_for_a_view_and_leaves_nothing(client: TestClient, tmp_path: Path) -> None:
    answers = [client.post("/api/view", params={**MOVE, "seed": 3}, content=picture_bytes()) for _ in range(2)]
    assert pixels_of(answers[0].content).shape == (*HW, 3)
    assert answers[0].content == answers[1].content
    assert list((tmp_path / "served").iterdir()) == []


def test_everything_made_can_be_downloaded(client: TestClient) -> None:
    photo = bring(client)
    job = views(client, photo, orbit=2)
    packed = client.get(f"/api/photos/{photo['photo']}/results.zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        names = set(archive.namelist())
        record = json.loads(archive.read(f"{job['job']}/views.json"))
    wanted = ("000.png", "001.png", "views.json", "transforms.json", "extrinsics.npy", "settings.yaml", "orbit.webp")
    assert {"cut-out.png", *(f"{job['job']}/{name}" for name in wanted)} <= names
    assert len(record["views"]) == 2


def test_a_doubtful_cut_out_is_shown_and_can_be_corrected(client: TestClient) -> None:
    photo = bring(client, picture_bytes(background=180))
    empty = np.full((64, 64, 3), 200, np.uint8)
    stream = io.BytesIO()
    Image.fromarray(empty).save(stream, "PNG")
    photo = bring(client, stream.getvalue())
    assert "none that stands out" in photo["doubt"]
    assert not photo["has_object"]
    refused = client.post(f"/api/photos/{photo['photo']}/views", json={"moves": [MOVE]})
    assert "expected an object" in error_of(refused, 422)

    mask = np.zeros((64, 64), np.uint8)
    mask[10:50, 20:40] = 255
    stream = io.BytesIO()
    Image.fromarray(mask).save(stream, "PNG")
    corrected = client.put(f"/api/photos/{photo['photo']}/mask", content=stream.getvalue()).json()
    assert corrected["method"] == "your mask"
    assert corrected["doubt"] == ""
    assert corrected["has_object"] is True
    assert views(client, photo)["state"] == "done"
    automatic = client.delete(f"/api/photos/{photo['photo']}/correction").json()
    assert not automatic["has_object"]


def test_a_threshold_moves_the_outline(client: TestClient) -> None:
    pixels = np.full((64, 64, 3), 235, np.uint8)
    pixels[16:48, 16:48] = (180, 40, 30)
    pixels[24:40, 4:16] = (226, 232, 240)  # nearly the wall
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    photo = bring(client, stream.getvalue())

    def inside(threshold: float) -> int:
        answer = client.put(f"/api/photos/{photo['photo']}/threshold", json={"threshold": threshold}).json()
        return int((pixels_of(client.get(answer["cut_out"]).content)[..., 3] > 127).sum())

    assert inside(2.0) > inside(50.0)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "expected a picture as the body, got nothing"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "something else"),
        (picture_bytes()[:100], "expected a whole picture"),
        (picture_bytes(side=4), "at least 8"),
    ],
    ids=["empty", "svg", "truncated", "tiny"],
)
def test_what_is_no_picture_is_refused_in_a_sentence(
    client: TestClient, tmp_path: Path, data: bytes, sentence: str
) -> None:
    error = error_of(client.post("/api/photos", content=data), 422)
    assert sentence in error
    assert "/" not in error
    assert list((tmp_path / "served").iterdir()) == []


def test_too_many_bytes_are_refused_before_they_are_read(client: TestClient) -> None:
    answer = client.post("/api/photos", content=b"x", headers={"Content-Length": str(10**12)})
    assert "at most 64 MiB" in error_of(answer, 413)


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "either moves or an orbit"),
        ({"orbit": 49}, "at most 48"),
        ({"moves": [{"up_deg": 1e9}]}, "up_deg"),
        ({"moves": [MOVE], "model": "../../etc/passwd"}, "expected any of painter, other"),
        ({"moves": [MOVE], "guesses": 9}, "at most 8"),
        ({"moves": [MOVE], "seed": -1}, "seed"),
        ({"moves": [MOVE], "unknown": 1}, "unknown"),
    ],
)
def test_impossible_requests_are_refused_in_a_sentence(client: TestClient, body: dict[str, Any], sentence: str) -> None:
    photo = bring(client)
    assert sentence in error_of(client.post(f"/api/photos/{photo['photo']}/views", json=body), 422)


@pytest.mark.parametrize(
    "name", ["about.json", "..%2Fabout.json", "..%2F..%2Fphoto", "%2Fetc%2Fpasswd", "settings.yaml%00.png", ".."]
)
def test_no_file_outside_a_job_is_sent(client: TestClient, name: str) -> None:
    job = views(client, bring(client))
    assert client.get(f"{job['url']}/{name}").status_code in (404, 405)


def test_no_answer_holds_a_path_of_the_server(client: TestClient, tmp_path: Path) -> None:
    photo = bring(client)
    job = views(client, photo, orbit=2)
    packed = client.get(f"/api/photos/{photo['photo']}/results.zip")
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        files = [archive.read(name) for name in archive.namelist()]
    texts = [json.dumps(photo).encode(), json.dumps(job).encode(), *files]
    assert not any(str(tmp_path).encode() in text for text in texts)


def test_photos_of_others_are_unknown(client: TestClient) -> None:
    for name in ("A" * 22, "x", "..", "A" * 21 + "%2F"):
        assert client.get(f"/api/photos/{name}").status_code == 404
    photo = bring(client)
    assert client.delete(f"/api/photos/{photo['photo']}").status_code == 204
    assert "expired" in error_of(client.get(f"/api/photos/{photo['photo']}"), 404)


def test_a_waiting_job_knows_its_place_and_can_be_cancelled(client: TestClient, painter: Painter) -> None:
    photo = bring(client)
    painter.gate.clear()
    posted = [client.post(f"/api/photos/{photo['photo']}/views", json={"orbit": count}).json() for count in (2, 3, 4)]
    until = time.monotonic() + 30
    while client.get(posted[0]["url"]).json()["state"] != "running":
        assert time.monotonic() < until
    assert [client.get(job["url"]).json()["place"] for job in posted] == [0, 1, 2]
    for job in (posted[1], posted[0]):
        client.delete(job["url"])
    painter.gate.set()
    states = [ended(client, client.get(job["url"]).json())["state"] for job in posted]
    assert states == ["cancelled", "cancelled", "done"]
    assert painter.views <= 1 + 4


def test_a_single_view_passes_an_orbit_that_runs(client: TestClient, painter: Painter) -> None:
    photo = bring(client)
    painter.gate.clear()
    orbit = client.post(f"/api/photos/{photo['photo']}/views", json={"orbit": 40}).json()
    single = client.post(f"/api/photos/{photo['photo']}/views", json={"moves": [MOVE]}).json()
    painter.gate.set()
    assert ended(client, single)["state"] == "done"
    assert client.get(orbit["url"]).json()["state"] == "running" or painter.views == 41
    assert ended(client, orbit)["state"] == "done"


def test_a_server_started_again_knows_photos_and_results(served: Callable[..., TestClient], painter: Painter) -> None:
    with served() as client:
        photo = bring(client)
        views(client, photo)
    with served() as client:
        assert client.get(f"/api/photos/{photo['photo']}").json() == photo
        assert views(client, photo)["state"] == "done"
    assert painter.views == 1


def test_other_weights_of_the_same_name_give_new_pictures(
    served: Callable[..., TestClient], painter: Painter, tmp_path: Path
) -> None:
    with served() as client:
        photo = bring(client)
        views(client, photo)
    painter.version = 2  # the run of that name was trained further
    with served() as client:
        assert views(client, photo)["state"] == "done"
    assert painter.views == 2
    (record,) = (tmp_path / "served").rglob("views.json")
    assert json.loads(record.read_text())["model"]["digest"] == "painter 2"


def test_limits_are_kept(served: Callable[..., TestClient], painter: Painter) -> None:
    with served(requests_per_minute=5, photos=2) as client:
        photo = bring(client)
        bring(client)
        assert "at most 2 photos" in error_of(client.post("/api/photos", content=picture_bytes()), 429)
        for _ in range(2):
            views(client, photo)
        refused = client.post("/api/photos", content=picture_bytes())
        assert "at most 5 requests a minute" in error_of(refused, 429)
        assert int(refused.headers["retry-after"]) >= 1
    with served(waiting=1) as client:
        painter.gate.clear()
        photo = bring(client)
        statuses = [
            client.post(f"/api/photos/{photo['photo']}/views", json={"orbit": count}).status_code for count in (2, 3, 4)
        ]
        painter.gate.set()
        assert statuses[-1] == 429


def test_a_token_is_demanded_by_header_or_cookie(served: Callable[..., TestClient]) -> None:
    with served(Access((), "secret")) as client:
        assert "token" in error_of(client.get("/api/about"), 401)
        assert client.get("/api/about", headers={"Authorization": "Bearer wrong"}).status_code == 401
        right = {"Authorization": "Bearer secret"}
        assert client.get("/api/about", headers=right).status_code == 200
        assert client.get("/").status_code == 200
        assert client.post("/api/token", headers=right).status_code == 204
        assert client.get("/api/about").status_code == 200


def test_other_sites_and_other_names_are_refused(served: Callable[..., TestClient]) -> None:
    with served(Access(LOOPBACK, None)) as client:
        assert client.get("/api/about", headers={"Host": "evil.example"}).status_code == 421
        assert client.get("/api/about", headers={"Host": "localhost:99"}).status_code == 200
        crossed = client.post("/api/photos", content=picture_bytes(), headers={"Origin": "https://evil.example"})
        assert "another site" in error_of(crossed, 403)


@pytest.mark.parametrize("path", ["/", "/page/main.js", "/api/about", "/api/none", "/page/none"])
def test_every_answer_has_the_policy(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS


def test_the_api_is_described(client: TestClient) -> None:
    described = client.get("/api/openapi.json").json()
    assert {"/api/photos", "/api/photos/{photo}/views", "/api/photos/{photo}/mesh", "/api/view"} <= set(
        described["paths"]
    )
    assert "image/*" in described["paths"]["/api/photos"]["post"]["requestBody"]["content"]


def test_a_fault_of_ours_is_a_sentence(client: TestClient, painter: Painter) -> None:
    photo = bring(client)
    painter.adapt_poses = None  # type: ignore[method-assign, assignment]
    job = views(client, photo)
    assert (job["state"], job["message"]) == ("failed", "the server failed at this job; its log says why")


def test_photos_are_cut_out_a_few_at_a_time_and_hold_nobody_up(
    served: Callable[..., TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests have 40 threads; more uploads than that leave some to others, as each photo may need a gigabyte."""
    uploads, arrived, cutting, gate = 50, [], [], threading.Event()

    def slow_cut(*arguments: Any) -> Any:
        cutting.append(True)
        assert gate.wait(30)
        return cut(*arguments)

    monkeypatch.setattr("web.photos.cut", slow_cut)
    with served(photos=uploads, requests_per_minute=1000) as client, ThreadPoolExecutor(uploads) as clients:
        service = client.app.state.service  # type: ignore[attr-defined]
        real_cut = service.cut
        monkeypatch.setattr(service, "cut", lambda *arguments: (arrived.append(True), real_cut(*arguments))[1])
        posted = [clients.submit(bring, client) for _ in range(uploads)]
        until = time.monotonic() + 30
        while len(arrived) < uploads or len(cutting) < (os.cpu_count() or 1):
            assert time.monotonic() < until
            time.sleep(0.01)
        assert client.get(f"/api/photos/{'A' * 22}").status_code == 404  # answered by one of the threads
        assert len(cutting) == (os.cpu_count() or 1)
        gate.set()
        assert len({one.result()["photo"] for one in posted}) == uploads
