"""Prediction folders of strangers: each mistake is a sentence."""

from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from base.errors import Failure, UsageError
from base.progress import SILENT
from evaluation.datasets.sd30 import Sd30
from evaluation.mesh_files import Z_UP_FROM_Y_UP
from evaluation.methods import VIEW_METHODS
from evaluation.predicting import PredictionRun, predict_views
from evaluation.predictions import Method, Predictions
from evaluation.protocol import read_protocol
from evaluation.scoring import world_from_mesh
from geometry.camera import look_at_origin

HW = (16, 16)


def folder(root: Path, text: str = "name: theirs\n") -> Predictions:
    root.mkdir(exist_ok=True)
    (root / "method.yaml").write_text(text)
    return Predictions(root)


def save(path: Path, pixels: np.ndarray, **options: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **options)


def picture(value: int, width: int = 16, channels: int = 3) -> np.ndarray:
    return np.full((16, width, channels), value, np.uint8)


def test_views_and_strips_are_read(tmp_path: Path) -> None:
    predictions = folder(tmp_path)
    for number in (1, 2):
        save(tmp_path / "views" / "a" / f"{number:03d}.png", picture(number, channels=4))
        strip = np.concatenate([picture(10 * number + k) for k in range(3)], axis=1)
        save(tmp_path / "views" / "b" / f"{number - 1}.png", strip)
    (sample,) = predictions.view_samples("a", (1, 2), 3, HW)
    assert [int(sample[number][0, 0, 0]) for number in (1, 2)] == [1, 2]
    first, second = predictions.view_samples("b", (1, 2), 3, HW)
    assert [int(first[number][0, 0, 0]) for number in (1, 2)] == [11, 12]
    assert [int(second[number][0, 0, 0]) for number in (1, 2)] == [21, 22]
    (short,) = [predictions.view_samples("b", (0, 1, 2), 5, HW)[0]]
    assert sorted(short) == [0, 1, 2]


def bad_views(path: Path, kind: str) -> None:
    first = path / "000.png"
    save(first, picture(0))
    if kind == "missing":
        first.unlink()
    elif kind == "size":
        save(first, picture(0, width=17))
    elif kind == "sixteen bits":
        save(first, np.zeros(HW, np.uint16))
    elif kind == "palette":
        Image.fromarray(picture(0)).convert("P").save(first)
    elif kind == "grey":
        save(first, np.zeros(HW, np.uint8))
    elif kind == "cut":
        first.write_bytes(first.read_bytes()[:40])
    elif kind == "text":
        first.write_bytes(b"not a picture")
    elif kind == "bomb":
        data = bytearray(first.read_bytes())
        data[16:24] = (60_000).to_bytes(4, "big") * 2
        first.write_bytes(bytes(data))


SENTENCES = {
    "missing": "expected a picture, got: no such file",
    "size": "expected a picture of 16 × 16, got 17 × 16",
    "sixteen bits": "got grey with 16 bits",
    "palette": "got palette with",
    "grey": "got grey with 8 bits",
    "cut": "expected a whole PNG",
    "text": "expected a whole PNG",
    "bomb": "expected at most 64 megapixels, got 60000 × 60000",
}


@pytest.mark.parametrize("kind", SENTENCES)
def test_bad_pictures_are_named_in_a_sentence(tmp_path: Path, kind: str) -> None:
    predictions = folder(tmp_path)
    bad_views(tmp_path / "views" / "a", kind)
    with pytest.raises(Failure) as error:
        predictions.view_samples("a", (0,), 1, HW)
    assert SENTENCES[kind].lower() in str(error.value).lower()
    assert str(error.value).count("\n") == 0


def test_bad_method_files_are_usage_errors(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"method\.yaml"):
        Predictions(tmp_path)
    with pytest.raises(UsageError, match="paper_name: expected no such key"):
        folder(tmp_path, "name: theirs\npaper_name: x\n")


def test_reasons_of_failures_are_kept(tmp_path: Path) -> None:
    (tmp_path / "failed.csv").write_text('chair,"out of memory\x1b[31m, twice"\n../x,no\n')
    predictions = folder(tmp_path)
    assert predictions.reasons == {"chair": "out of memory\ufffd[31m, twice"}
    with pytest.raises(Failure, match=r"failed\.csv: chair: out of memory"):
        predictions.mesh("chair")
    with pytest.raises(Failure, match="expected a mesh"):
        predictions.mesh("table")


def test_the_digest_follows_every_file(tmp_path: Path) -> None:
    predictions = folder(tmp_path)
    save(tmp_path / "views" / "a" / "000.png", picture(0))
    before = predictions.digest("a")
    save(tmp_path / "views" / "a" / "000.png", picture(1))
    assert predictions.digest("a") != before
    assert folder(tmp_path, "name: theirs\nup: y\n").digest("a") != predictions.digest("a")


def test_frames_place_a_mesh_in_the_world() -> None:
    # The camera at +y of the world: its x is the world's −x, and it looks down a little.
    camera = look_at_origin(np.array([0.0, 1.0, 0.5]))
    corner = np.array([0.1, 0.2, 0.3])
    assert world_from_mesh("camera", camera) @ Z_UP_FROM_Y_UP @ corner == pytest.approx(camera[:, :3].T @ corner)
    assert world_from_mesh("camera", camera)[:, 0] == pytest.approx([-1.0, 0.0, 0.0])
    assert world_from_mesh("input", camera)[:, 0] == pytest.approx([0.0, 1.0, 0.0])


def test_answers_of_another_method_are_kept(tmp_path: Path) -> None:
    for seed, sentence in ((0, ""), (0, ""), (1, "got those of 'mini' with another seed")):
        method = Method(name="mini", settings={"seed": seed, "steps": 4})
        run = PredictionRun(read_protocol("sd30-views"), Sd30(tmp_path), (), method, tmp_path / "p", SILENT)
        with pytest.raises(UsageError, match=sentence) if sentence else nullcontext():
            predict_views(run, VIEW_METHODS["input"])
