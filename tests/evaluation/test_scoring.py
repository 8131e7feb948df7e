"""Scoring from end to end on a small set in the form of SD-30: oracles, failures, resumes, workers."""

import json
import math
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from app.main import main
from base.progress import SILENT
from evaluation.picture_metrics import Networks
from evaluation.protocol import PROTOCOLS, Protocol, read_protocol
from evaluation.results import read_result
from evaluation.running import score_objects
from evaluation.scoring import ScoringJob
from evaluation.summary import read_summary
from tests.evaluation.small_home import files_of
from tests.evaluation.small_sd30 import write_small_sd30

TARGETS = [0, 3, 7]


@pytest.fixture(scope="module", autouse=True)
def views(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """sd30-views with few targets and quick metrics, as a file."""
    path = tmp_path_factory.mktemp("protocol") / "views.yaml"
    values = yaml.safe_load((PROTOCOLS / "sd30-views.yaml").read_text())
    values["targets"], values["views"]["as-published"]["targets"] = list(TARGETS), list(TARGETS)
    values["views"]["sound"] |= {"targets": TARGETS[1:], "metrics": ["psnr", "psnr/foreground", "mask-iou"]}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    VIEWS.append(str(path))
    yield str(path)
    VIEWS.clear()


VIEWS: list[str] = []


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small_sd30(tmp_path_factory.mktemp("sd30"))


def run(*words: object) -> int:
    return main(["benchmark", *(VIEWS[0] if word == "sd30-views" else str(word) for word in words)])


def oracle(protocol: str, small: Path, out: Path, kind: str, *flags: object) -> dict[str, dict[str, float]]:
    objects = () if protocol == "sd30-views" else ("--objects", "bell")
    data = small
    if objects:
        # sd30-mesh names its objects, so a shape takes the name of one without a turn.
        data = out.with_name(f"{out.name}-data")
        shutil.copytree(small / "egg", data / "bell", dirs_exist_ok=True)
    assert run("oracle", protocol, "--data", data, *objects, "--kind", kind, "--out", out, *flags) == 0
    summary = read_summary(out)
    return {
        f"{variant}:{metric}": found
        for variant, metrics in summary.figures.items()
        for metric, found in metrics.items()
    }


def test_the_truth_has_infinite_psnr_and_all_ones(small: Path, tmp_path: Path) -> None:
    figures = oracle("sd30-views", small, tmp_path / "o", "truth")
    assert set(figures["sound:psnr"].values()) == {math.inf}
    for metric in ("as-published:ssim/tm-old", "sound:mask-iou"):
        assert list(figures[metric].values()) == pytest.approx([1.0, 1.0])
    text = (tmp_path / "o" / "table.md").read_text()
    assert "∞ [∞, ∞]" in text
    assert "| SyncDreamer" in text
    # Its figures were read in a text that quotes the paper.
    assert "quoted" in text
    assert "as printed" not in text


def test_noise_has_exactly_minus_twenty_log_delta(small: Path, tmp_path: Path) -> None:
    figures = oracle("sd30-views", small, tmp_path / "o", "noise", "--levels", 7)
    expected = -20 * math.log10(7 / 255)
    assert list(figures["sound:psnr"].values()) == pytest.approx([expected] * 2, abs=1e-5)
    assert list(figures["sound:psnr/foreground"].values()) == pytest.approx([expected] * 2, abs=1e-5)


def test_a_shift_moves_the_mask_by_known_pixels(small: Path, tmp_path: Path) -> None:
    figures = oracle("sd30-views", small, tmp_path / "o", "shift", "--pixels", 1)
    masks = [np.asarray(Image.open(small / "brick" / f"{k:03d}.png"))[..., 3] > 0 for k in TARGETS[1:]]
    moved = [np.roll(mask, 1, axis=1) for mask in masks]
    ious = [(a & b).sum() / (a | b).sum() for a, b in zip(masks, moved, strict=True)]
    # The shifted picture has no alpha; its mask is where it is not white, and the set's colours reach no white.
    assert figures["sound:mask-iou"]["brick"] == pytest.approx(np.mean(ious), abs=2e-3)


def test_the_true_mesh_is_perfect_but_for_the_floor(small: Path, tmp_path: Path) -> None:
    figures = oracle("sd30-mesh", small, tmp_path / "o", "truth")
    assert figures["as-published:chamfer/mean"]["bell"] == 0.0
    assert figures["as-published:iou"]["bell"] == figures["sound:iou"]["bell"] == 1.0
    assert figures["vertices:chamfer/mean"]["bell"] == 0.0
    floor = figures["sound:chamfer/floor"]["bell"]
    assert figures["sound:chamfer/mean"]["bell"] == pytest.approx(floor, rel=0.02)
    assert figures["sound:watertight"]["bell"] == 1.0


def test_the_hull_is_close_but_no_truth(small: Path, tmp_path: Path) -> None:
    figures = oracle("sd30-mesh", small, tmp_path / "o", "hull")
    assert 0.75 < figures["sound:iou"]["bell"] < 1.0
    assert 0.0 < figures["as-published:chamfer/mean"]["bell"] < 0.03


def job(small: Path, out: Path, predictions: Path) -> ScoringJob:
    protocol = replace(
        read_protocol("sd30-views"), data=replace(read_protocol("sd30-views").data, objects=("brick", "egg"))
    )
    return ScoringJob(protocol, small, predictions, Networks(), out / "rows")


def answers(small: Path, out: Path) -> Path:
    assert run("predict", "sd30-views", "--data", small, "--baseline", "input", "--out", out) == 0
    return out


def test_any_number_of_workers_and_a_stop_give_the_same_bytes(small: Path, tmp_path: Path) -> None:
    predictions = answers(small, tmp_path / "p")
    for name, workers in (("one", 1), ("two", 2)):
        args = ("--data", small, "--predictions", predictions, "--out", tmp_path / name, "--workers", workers)
        assert run("score", "sd30-views", *args) == 0
    made = files_of(tmp_path / "two")
    assert files_of(tmp_path / "one") == made
    # What a kill leaves behind: an object with rows, an object without, a row file cut short.
    kept = (tmp_path / "one" / "rows" / "brick.json").stat().st_mtime_ns
    (tmp_path / "one" / "rows" / "egg.json").write_text("{")
    (tmp_path / "one" / "table.md").unlink()
    args = ("--data", small, "--predictions", predictions, "--out", tmp_path / "one")
    assert run("score", "sd30-views", *args) == 0
    assert (tmp_path / "one" / "rows" / "brick.json").stat().st_mtime_ns == kept
    assert files_of(tmp_path / "one") == made


def test_changed_predictions_and_protocols_are_measured_again(small: Path, tmp_path: Path) -> None:
    predictions = answers(small, tmp_path / "p")
    first = job(small, tmp_path, predictions)
    before = {result.uid: result for result in score_objects(first, 1, SILENT)}
    white = np.full((256, 256, 3), 255, np.uint8)
    Image.fromarray(white).save(predictions / "views" / "egg" / "003.png")
    after = {result.uid: result for result in score_objects(first, 1, SILENT)}
    assert before["brick"] == after["brick"]
    assert before["egg"] != after["egg"]
    other: Protocol = replace(first.protocol, views={"sound": first.protocol.views["sound"]})
    again = score_objects(replace(first, protocol=other), 1, SILENT)
    assert {row.variant for row in again[0].rows} == {"", "sound"}


@pytest.mark.parametrize("damage", ["missing", "size", "text", "reason"])
def test_a_failed_object_is_a_row_and_counts_as_white(small: Path, tmp_path: Path, damage: str) -> None:
    predictions = answers(small, tmp_path / "p")
    target = predictions / "views" / "egg" / "007.png"
    if damage == "missing":
        target.unlink()
    elif damage == "size":
        Image.new("RGB", (255, 256)).save(target)
    elif damage == "text":
        target.write_text("no picture")
    else:
        (predictions / "failed.csv").write_text("egg,out of memory\n")
    assert run("score", "sd30-views", "--data", small, "--predictions", predictions, "--out", tmp_path / "o") == 1
    summary = read_summary(tmp_path / "o")
    assert list(summary.failed) == ["egg"]
    assert str(tmp_path) not in summary.failed["egg"]
    assert run("run", "sd30-views", "--data", small, "--baseline", "white", "--out", tmp_path / "w") == 0
    white = read_summary(tmp_path / "w").figures["sound"]["psnr"]["egg"]
    assert summary.figures["sound"]["psnr"]["egg"] == white
    assert summary.mean("sound", "psnr", with_failed=False).objects == 1
    assert "1 failed" in (tmp_path / "o" / "cite.txt").read_text()


def test_a_damaged_truth_blames_no_method(small: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(small, data)
    predictions = answers(small, tmp_path / "p")
    (data / "egg" / "003.png").write_bytes(b"cut")
    assert run("score", "sd30-views", "--data", data, "--predictions", predictions, "--out", tmp_path / "o") == 1
    summary = read_summary(tmp_path / "o")
    assert list(summary.unusable) == ["egg"]
    assert summary.failed == {}
    assert list(summary.figures["sound"]["psnr"]) == ["brick"]
    result = read_result(tmp_path / "o" / "rows", "egg")
    assert result is not None
    assert result.rows == ()


def test_a_comparison_is_paired(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for baseline in ("input", "white"):
        assert run("run", "sd30-views", "--data", small, "--baseline", baseline, "--out", tmp_path / baseline) == 0
    assert run("compare", tmp_path / "input", tmp_path / "white", "--out", tmp_path / "both") == 0
    text = (tmp_path / "both" / "table.md").read_text()
    assert "white − input copied, PSNR, dB: -" in text
    assert "better on 0, worse on 2, equal on 0" in text
    html = (tmp_path / "both" / "report.html").read_text()
    assert "paired" in html
    summary = json.loads((tmp_path / "white" / "summary.json").read_text())
    summary["protocol_digest"] = "0" * 16
    (tmp_path / "white" / "summary.json").write_text(json.dumps(summary))
    assert run("compare", tmp_path / "input", tmp_path / "white", "--out", tmp_path / "both") == 2
    assert "expected the protocol" in capsys.readouterr().err


def test_exported_inputs_explain_the_answer(small: Path, tmp_path: Path) -> None:
    assert run("predict", "sd30-views", "--data", small, "--export-only", "--out", tmp_path / "e") == 0
    cameras = json.loads((tmp_path / "e" / "cameras" / "egg.json").read_text())
    assert cameras["inputs"] == [0]
    assert sorted(cameras["views"]) == ["000", "003", "007"]
    assert cameras["views"]["000"]["fx"] == 280.0
    true = np.asarray(Image.open(small / "egg" / "000.png"))
    assert np.array_equal(np.asarray(Image.open(tmp_path / "e" / "inputs" / "egg" / "000.png")), true)
    assert "views/UID/NNN.png" in (tmp_path / "e" / "README.md").read_text()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("score", "sd30-viewz", "--data", "{small}", "--predictions", "x", "--out", "{tmp}/o"), "protocol: expected"),
        (("score", "sd30-views", "--data", "{tmp}/no", "--predictions", "x", "--out", "{tmp}/o"), "no such folder"),
        (("score", "sd30-views", "--data", "{small}", "--predictions", "{tmp}", "--out", "{tmp}/o"), "method.yaml"),
        (("run", "sd30-views", "--data", "{small}", "--baseline", "hull", "--out", "{tmp}/o"), "--baseline: expected"),
        (
            ("run", "sd30-views", "--data", "{small}", "--objects", "x", "--baseline", "white", "--out", "{tmp}/o"),
            "got x",
        ),
        (("compare", "{tmp}", "--out", "{tmp}/o"), "no summary.json"),
    ],
)
def test_mistakes_end_in_a_sentence(
    small: Path, tmp_path: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*(word.format(small=small, tmp=tmp_path) for word in words)) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert "Traceback" not in error


def test_check_finds_a_moved_mesh(small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("check", "sd30-views", "--data", small) == 0
    shutil.copytree(small, tmp_path / "data")
    mesh = np.load(small / "egg" / "mesh.npz")
    np.savez(tmp_path / "data" / "egg" / "mesh.npz", vertices=mesh["vertices"][:, [1, 0, 2]], faces=mesh["faces"])
    assert run("check", "sd30-views", "--data", tmp_path / "data") == 1
    assert "BAD egg" in capsys.readouterr().out


def test_list_show_and_selftest(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list") == run("selftest") == run("show", "sd30-mesh") == 0
    out = capsys.readouterr().out
    assert "BAD" not in out
    assert "SyncDreamer" in out
