"""Browsing by the API: what is listed and shown, and that strangers' contents do no harm."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.shards.datasets import HW, VIEWS
from tests.web.browse.conftest import HOSTILE, UIDS
from tests.web.conftest import pixels_of

DATA, SCORES, MODEL = (
    "/api/browse/datasets/runs-data", "/api/browse/evaluations/runs-scores", "/api/browse/runs/runs-model"
)  # fmt: skip


def get(client: TestClient, url: str, **query: Any) -> Any:
    answer = client.get(url, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_shelf_lists_everything_by_name_and_kind(browser_client: TestClient) -> None:
    entries = get(browser_client, "/api/browse")["entries"]
    assert [entry["url"] for entry in entries] == [DATA, MODEL, SCORES]
    assert get(browser_client, "/api/about")["browses"]
    assert browser_client.get("/browse").status_code == 200


def test_a_server_without_a_shelf_has_nothing_to_browse(client: TestClient) -> None:
    assert get(client, "/api/browse") == {"entries": []}
    assert not get(client, "/api/about")["browses"]
    assert client.get(DATA).status_code == 404


def test_a_dataset_counts_its_objects(browser_client: TestClient) -> None:
    about = get(browser_client, DATA)
    assert (about["version"], about["views"], tuple(about["hw"])) == (1, VIEWS, HW)
    assert about["outcomes"] == {"corrupt": 4, "ok": 3}
    assert about["licences"] == {"It's mine": 4, "CC0-1.0": 3}
    assert about["splits"] == {"train": 3}


def test_objects_come_in_pages_by_uid(browser_client: TestClient) -> None:
    first = get(browser_client, f"{DATA}/objects", most=3)
    assert [one["uid"] for one in first["objects"]] == list(UIDS[:3])
    assert (first["total"], first["next"]) == (7, UIDS[2])
    second = get(browser_client, f"{DATA}/objects", most=3, after=first["next"])
    assert [one["uid"] for one in second["objects"]] == list(UIDS[3:6])
    assert (second["total"], second["next"]) == (None, UIDS[5])
    assert get(browser_client, f"{DATA}/objects", most=3, after=second["next"])["next"] == ""


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"outcome": "ok"}, UIDS[:3]),
        ({"licence": "It's mine"}, UIDS[3:]),
        ({"outcome": "ok", "licence": "It's mine"}, ()),
        ({"find": "ONERROR=ALERT(1)"}, UIDS[:3]),
        ({"find": UIDS[4]}, UIDS[4:5]),
        ({"find": "' or '1'='1"}, ()),
        ({"licence": "' or '1'='1"}, ()),
        ({"after": "x' or '1'='1"}, ()),
    ],
    ids=str,
)
def test_filters_choose_objects_and_are_no_queries(
    browser_client: TestClient, query: dict[str, str], found: tuple[str, ...]
) -> None:
    page = get(browser_client, f"{DATA}/objects", **query)
    assert tuple(one["uid"] for one in page["objects"]) == found


def test_an_object_shows_its_views_cameras_and_attempts(browser_client: TestClient) -> None:
    shown = get(browser_client, f"{DATA}/objects/{UIDS[0]}")
    assert (shown["licence"], shown["split"], len(shown["cameras"])) == ("CC0-1.0", "train", VIEWS)
    assert 1.5 <= shown["cameras"][0]["radius"] <= 2.2
    (tried,) = shown["attempts"]
    assert (tried["seconds"], tried["views"], tried["device"]) == (4.5, VIEWS, "CPU, AMD")
    picture = browser_client.get(shown["cameras"][3]["url"], params={"px": 16})
    assert picture.headers["content-type"] == "image/webp"
    assert pixels_of(picture.content).shape == (16, 16, 4)
    assert browser_client.get(f"{DATA}/objects/{UIDS[0]}/views/{VIEWS}.webp").status_code == 404


def test_an_object_without_views_says_how_it_ended(browser_client: TestClient) -> None:
    shown = get(browser_client, f"{DATA}/objects/{UIDS[3]}")
    assert (shown["outcome"], shown["picture"], shown["cameras"]) == ("corrupt", "", [])
    assert shown["reason"] == f"…/{UIDS[3]}.glb: no header"
    assert browser_client.get(f"{DATA}/objects/{UIDS[3]}/views/0.webp").status_code == 404


def test_texts_are_bare_and_addresses_are_of_the_web(browser_client: TestClient) -> None:
    shown = get(browser_client, f"{DATA}/objects/{UIDS[0]}")
    assert shown["title"].startswith("<img src=x onerror=alert(1)>\N{REPLACEMENT CHARACTER}[31m")
    assert not set("\x1b\u202e") & set(shown["title"])
    assert shown["page"] == ""


def test_an_evaluation_has_its_table_its_pairs_and_pages_of_rows(browser_client: TestClient) -> None:
    about = get(browser_client, SCORES)
    (table,) = about["tables"]
    assert table["head"] == ["answer", "PSNR dB", "SSIM", "1 − HaarPSI"]
    assert table["rows"][0] == ["the model", "20.00", "20.000", "20.000"]
    assert about["notes"][0] == "The model is +5.00 dB over the better of input and white, enough for +0.50."
    assert [one["label"] for one in about["pairs"][0]["pictures"]] == ["input", "model", "truth"]
    assert pixels_of(browser_client.get(about["pairs"][1]["pictures"][2]["url"]).content).shape == (8, 8, 3)
    rows = get(browser_client, f"{SCORES}/rows", start=100)
    assert (about["rows"], len(rows["rows"]), rows["next"]) == (120, 20, 0)
    assert rows["rows"][0][1:] == ["0", "10", "40°", "20.00", "20.000", "20.000", "15.00"]
    assert get(browser_client, f"{SCORES}/rows")["next"] == 50


def test_a_training_run_has_curves_grids_and_finished_checkpoints(browser_client: TestClient) -> None:
    run = get(browser_client, MODEL)
    assert run["checkpoints"] == [100]
    assert run["figures"]["images learnt from"] == "1\u202f001"
    assert run["figures"]["best PSNR on held-out views"] == "17.50 dB"
    loss = run["curves"][0]
    assert (loss["title"], loss["is_log"]) == ("Training loss", True)
    assert len(loss["images"]) <= 400
    assert (loss["images"][-1], loss["values"][-1]) == (1001, None)
    assert loss["values"][-2] == 1.0 / loss["images"][-2]
    assert pixels_of(browser_client.get(run["grids"][0]["url"]).content).shape == (8, 24, 3)


def test_no_answer_holds_a_path_or_a_host_of_the_server(
    browser_client: TestClient, tmp_path: Path, written: Path
) -> None:
    urls = ["/api/browse", DATA, f"{DATA}/objects", SCORES, f"{SCORES}/rows", MODEL]
    urls += [f"{DATA}/objects/{uid}" for uid in UIDS]
    texts = [browser_client.get(url).text for url in urls]
    assert not any(str(tmp_path) in text or str(written) in text for text in texts)
    assert not any("models of mine" in text for text in texts)
    assert not any("secret-host" in text for text in texts)


@pytest.mark.parametrize(
    "url",
    [
        f"{DATA}/objects/..%2F..%2Fetc",
        f"{DATA}/objects/{UIDS[0]}/views/-1.webp",
        f"{SCORES}/pairs/..%2Fnovel_views.json",
        f"{SCORES}/pairs/x-00-10-input.png",
        f"{MODEL}/grids/..%2Flog.jsonl",
        "/api/browse/runs/runs-data",
        "/api/browse/datasets/%2E%2E%2Fruns",
    ],
)
def test_no_other_file_is_sent(browser_client: TestClient, url: str) -> None:
    assert browser_client.get(url).status_code == 404


def test_a_link_out_of_its_folder_is_not_followed(browser_client: TestClient, browsed: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    shutil.copy(browsed / "scores" / "pairs" / f"{UIDS[0]}-00-10-input.png", secret)
    (browsed / "scores" / "pairs" / "z-00-10-input.png").symlink_to(secret)
    refused = browser_client.get(f"{SCORES}/pairs/z-00-10-input.png")
    assert refused.status_code == 500
    assert str(tmp_path) not in refused.text


@pytest.mark.parametrize(
    "damage", ["", "{", "[]", '{"rows": []}', '{"rows": [1], "pairs": "x"}', "[" * 100_000], ids=lambda text: text[:20]
)
def test_a_damaged_evaluation_is_a_sentence(browser_client: TestClient, browsed: Path, damage: str) -> None:
    (browsed / "scores" / "novel_views.json").write_text(damage)
    for url in (SCORES, f"{SCORES}/rows"):
        answer = browser_client.get(url)
        if answer.status_code != 200:
            assert answer.status_code == 500
            assert "expected an evaluation that can be read" in answer.json()["error"]
    assert browser_client.get(SCORES).status_code == 500


def test_a_picture_that_is_none_is_a_sentence(browser_client: TestClient, browsed: Path) -> None:
    (browsed / "model" / "validation" / "0000000100.webp").write_bytes(b"<svg onload=alert(1)>")
    answer = browser_client.get(f"{MODEL}/grids/0000000100.webp")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/json")


def test_a_damaged_shard_leaves_the_facts_of_its_objects(browser_client: TestClient, browsed: Path) -> None:
    (shard,) = (browsed / "data" / "shards").iterdir()
    shard.write_bytes(b"\0" * shard.stat().st_size)
    shown = get(browser_client, f"{DATA}/objects/{UIDS[0]}")
    assert (shown["licence"], shown["cameras"]) == ("CC0-1.0", [])
    assert shown["facts"]["views"].startswith("damaged: ")
    assert browser_client.get(f"{DATA}/objects/{UIDS[0]}/views/0.webp").status_code == 500


def test_a_benchmark_has_means_with_intervals(browser_client: TestClient, browsed: Path) -> None:
    figures = {"sound": {"psnr": {"a": 20.0, "b": 22.0}, "chamfer": {"a": 0.1, "b": 0.3}}}
    summary = {
        "protocol": "sd30-views", "protocol_digest": "12ab", "method": {"name": HOSTILE}, "objects": 2,
        "figures": figures,
        "failed": {"b": f"{browsed}/scores/b.png: missing"}, "unusable": {}, "unmeasured": ["lpips"],
        "networks": {}, "distances": {},
    }  # fmt: skip
    (browsed / "scores" / "novel_views.json").unlink()
    (browsed / "scores" / "summary.json").write_text(json.dumps(summary))
    about = get(browser_client, SCORES)
    assert about["tables"][0]["rows"][0][:2] == ["PSNR, dB ↑", "21.00"]
    assert about["notes"] == [
        "2 objects, 1 failed, 0 with damaged truth.",
        "failed: b: …/b.png: missing",
        "Not measured, for lack of a network: lpips.",
    ]
    rows = get(browser_client, f"{SCORES}/rows")
    assert rows["head"] == ["object", "PSNR, dB, sound", "Chamfer, sound"]
    assert rows["rows"] == [["a", "20.00", "0.1000"], ["b", "22.00", "0.3000"]]
