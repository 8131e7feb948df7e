"""`zero123 paper-tables` end to end on small sets in the exact forms on disk, with a small random model."""

import csv
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from app.main import main
from evaluation.mesh_files import ply_bytes
from evaluation.protocol import PROTOCOLS
from geometry.camera import PAPER_LENS, look_at_origin
from geometry.transforms import nerf_transforms
from reconstruct.gltf import GLTF_FROM_WORLD
from reconstruct.raster import rasterise
from tests.app.test_reconstruct import QUICK
from tests.evaluation.shapes.solids import box_mesh
from tests.evaluation.small_rtmv import write_small_rtmv
from tests.zero123.networks import small_pipeline

pytestmark = pytest.mark.usefixtures("kept_signals")

pytest.importorskip("OpenEXR")

CRATE = box_mesh((0.3, 0.5, 0.4))
GSO_HW, VIEWS = (64, 64), 4
Tables = Callable[..., int]


def write_small_gso(root: Path, models: Path) -> Path:
    """An object as `zero123 render --layout nerf` leaves it, and its model, larger and elsewhere, as OBJ."""
    folder, rng = root / "crate-1", np.random.default_rng(0)
    folder.mkdir(parents=True)
    models.mkdir()
    centres = rng.normal(size=(VIEWS, 3))
    cameras = np.stack([look_at_origin(1.8 * centre / np.linalg.norm(centre)) for centre in centres])
    for number, camera in enumerate(cameras):
        face = rasterise(CRATE.vertices, CRATE.faces, camera, PAPER_LENS, GSO_HW).face
        rgba = np.where((face >= 0)[..., None], np.stack([face * 20, 200 - face * 9, face * 0, face * 0 + 255], -1), 0)
        Image.fromarray(rgba.astype(np.uint8)).save(folder / f"{number:03d}.png")
    files = [f"{number:03d}.png" for number in range(VIEWS)]
    (folder / "transforms.json").write_text(json.dumps(nerf_transforms(cameras, files, PAPER_LENS, GSO_HW)))
    (folder / "render.json").write_text(json.dumps({"path": "crate.obj", "files": files}))
    lines = [f"v {x} {y} {z}" for x, y, z in (CRATE.vertices * 3 + 1) @ np.asarray(GLTF_FROM_WORLD).T]
    (models / "crate.obj").write_text("\n".join([*lines, *(f"f {a} {b} {c}" for a, b, c in CRATE.faces + 1)]))
    return root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both sets, a model, and another program's answers: the true mesh of Table 3, a wrong picture of Table 1."""
    folder = tmp_path_factory.mktemp("paper")
    write_small_gso(folder / "gso", folder / "models")
    write_small_rtmv(folder / "rtmv", scenes=1)
    small_pipeline().save_pretrained(folder / "model")
    for protocol, name in (("paper-gso-mesh", "Other & sons"), ("paper-gso", "Other & sons")):
        (folder / "other" / protocol).mkdir(parents=True)
        (folder / "other" / protocol / "method.yaml").write_text(yaml.safe_dump({"name": name, "frame": "world"}))
    (folder / "other" / "paper-gso-mesh" / "meshes").mkdir()
    (folder / "other" / "paper-gso-mesh" / "meshes" / "crate-1.ply").write_bytes(ply_bytes(CRATE))
    return folder


@pytest.fixture(scope="module")
def small_protocols(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The paper's protocols with smaller pictures, fewer targets and points, and coarser grids."""
    folder = tmp_path_factory.mktemp("protocols")
    for path in PROTOCOLS.glob("paper-*.yaml"):
        values = yaml.safe_load(path.read_text())
        values |= {"hw": [32, 32], "targets": values["targets"][:2]}
        for variant in values.get("views", {}).values():
            variant["targets"] = list(values["targets"])
        for variant in values.get("meshes", {}).values():
            variant |= {"points": 500, "grid_size": 16}
        (folder / path.name).write_text(yaml.safe_dump(values, sort_keys=False))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evaluation.protocol.PROTOCOLS", folder)
        patch.setattr("evaluation.datasets.rtmv.HULL_SIZE", 24)
        yield


@pytest.fixture(scope="module")
def tables(home: Path, small_protocols: None) -> Tables:
    quick = [word for key, value in QUICK.items() for word in ("--set", f"{key}={json.dumps(value)}")]

    def run(out: Path, *words: object) -> int:
        fixed = ["--gso", home / "gso", "--model", home / "model", "--device", "cpu", *quick, "--out", out]
        return main(["paper-tables", *(str(word) for word in (*fixed, *words))])

    return run


@pytest.fixture(scope="module")
def made(home: Path, tables: Tables) -> Path:
    """All four tables."""
    words = ("--gso-models", home / "models", "--rtmv", home / "rtmv", "--predictions", home / "other")
    out = home / "out"
    # Exit code 1: the other program has no views, so its object of Table 1 failed.
    assert tables(out, *words, "--baseline", "input", "--baseline", "extrusion") == 1
    return out


def rows(out: Path) -> list[dict[str, str]]:
    with (out / "paper-tables.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def figure(out: Path, table: int, method: str, metric: str, variant: str = "as-published") -> float:
    (found,) = [
        row["mean"]
        for row in rows(out)
        if (row["table"], row["method"], row["metric"], row["variant"]) == (str(table), method, metric, variant)
    ]
    return float(found)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "methods"),
    [
        (1, ["DietNeRF", "Image Variations", "SJC-I", "Zero-1-to-3", "model", "input copied", "Other & sons"]),
        (2, ["DietNeRF", "Image Variations", "SJC-I", "Zero-1-to-3", "model", "input copied"]),
        (3, ["MCC", "SJC-I", "Point-E", "Zero-1-to-3", "model", "extrusion", "Other & sons"]),
        (4, ["MCC", "SJC-I", "Point-E", "Zero-1-to-3", "model", "extrusion"]),
    ],
)
def test_printed_rows_come_before_measured_rows(made: Path, table: int, methods: list[str]) -> None:
    found = [row for row in rows(made) if row["table"] == str(table) and row["variant"] == "as-published"]
    assert list(dict.fromkeys(row["method"] for row in found)) == methods
    kinds = {row["method"]: row["row"] for row in found}
    assert [kinds[method] for method in methods] == ["as printed"] * 4 + ["measured"] * (len(methods) - 4)


@pytest.mark.slow
def test_printed_figures_are_the_papers(made: Path) -> None:
    assert figure(made, 1, "Zero-1-to-3", "psnr") == 18.378
    assert figure(made, 1, "Image Variations", "fid/undisclosed") == 22.533
    assert figure(made, 2, "Zero-1-to-3", "ssim/uniform7") == 0.606
    assert figure(made, 3, "Point-E", "iou") == 0.2944
    assert figure(made, 4, "MCC", "chamfer/mean") == 0.1578


@pytest.mark.slow
def test_the_true_mesh_has_iou_1_and_the_model_is_measured(made: Path) -> None:
    assert figure(made, 3, "Other & sons", "iou") == 1.0
    assert figure(made, 3, "Other & sons", "chamfer/mean") < figure(made, 3, "model", "chamfer/mean")
    assert 0.0 < figure(made, 3, "model", "iou") < 1.0
    assert 0.0 < figure(made, 4, "model", "iou") < 1.0
    assert np.isfinite(figure(made, 2, "model", "psnr"))


@pytest.mark.slow
def test_a_missing_answer_fails_and_counts_as_white(made: Path) -> None:
    values = json.loads((made / "paper-tables.json").read_text())
    assert "expected predicted views" in values[0]["failed"]["Other & sons"]["crate-1"]
    assert [table["failed"] for table in values[1:]] == [{}, {}, {}]
    assert values[2]["paired"][0].keys() >= {"reference", "mean", "low", "high", "wins", "losses", "ties"}


@pytest.mark.slow
def test_every_form_has_all_tables(made: Path) -> None:
    html, tex, text = ((made / f"paper-tables.{suffix}").read_text() for suffix in ("html", "tex", "md"))
    for number in (1, 2, 3, 4):
        assert f"(Table {number})" in html
        assert f"(Table {number})" in tex
        assert f"(Table {number})\n" in text
    assert "Other &amp; sons" in html
    assert r"Other \& sons" in tex
    assert "18.378" in html
    assert tex.count("\\begin{tabular}") == tex.count("\\end{tabular}") == 8
    assert "Paired differences over the same objects" in text


@pytest.mark.slow
def test_the_same_command_makes_only_what_is_missing(made: Path, home: Path, tables: Tables) -> None:
    words = ("--gso-models", home / "models", "--rtmv", home / "rtmv", "--predictions", home / "other")
    gone = [
        made / "paper-tables.tex",
        made / "paper-gso" / "model" / "rows" / "crate-1.json",
        made / "paper-rtmv-mesh" / "model" / "predictions" / "meshes" / "00000.ply",
    ]
    before = [path.read_bytes() for path in gone]
    kept = {
        path: path.stat().st_mtime_ns
        for path in [*made.rglob("rows/*.json"), *made.rglob("views/*/*.png"), *made.rglob("predictions/meshes/*")]
        if path not in gone
    }
    for path in gone:
        path.unlink()
    assert tables(made, *words, "--baseline", "input", "--baseline", "extrusion") == 1
    assert [path.read_bytes() for path in gone] == before
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert not list(made.rglob("work/*"))


def test_without_data_the_printed_rows_remain(home: Path, tables: Tables, tmp_path: Path) -> None:
    words = ("--no-model", "--baseline", "input", "--baseline", "extrusion", "--tables", "1,2,3")
    assert tables(tmp_path, *words) == 0
    values = json.loads((tmp_path / "paper-tables.json").read_text())
    assert [table["missing"] for table in values] == [
        "",
        "Not measured: no data, --rtmv gives it.",
        "Not measured: the objects have no true meshes. --gso-models gives them.",
    ]
    assert {row["row"] for row in values[1]["rows"]} == {"as printed"}


def test_an_object_without_its_model_blames_no_method(home: Path, tables: Tables, tmp_path: Path) -> None:
    shutil.copytree(home / "gso", tmp_path / "gso")
    shutil.copytree(home / "gso" / "crate-1", tmp_path / "gso" / "crate-2")
    (tmp_path / "gso" / "crate-2" / "render.json").write_text(json.dumps({"path": "../../secret.obj"}))
    words = ("--gso", tmp_path / "gso", "--gso-models", home / "models", "--no-model", "--baseline", "extrusion")
    assert tables(tmp_path / "out", *words, "--tables", "3") == 1
    (table,) = json.loads((tmp_path / "out" / "paper-tables.json").read_text())
    assert "expected a truth with a mesh" in table["unusable"]["crate-2"]
    assert table["failed"] == {}
    assert np.isfinite(figure(tmp_path / "out", 3, "extrusion", "iou"))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--tables", "5"), "--tables: expected numbers out of 1, 2, 3, 4, got '5'"),
        (("--first", "0"), "--first: expected at least 1"),
        (("--no-model",), "--no-model: expected --predictions or --baseline"),
        (("--predictions", "{tmp}"), "expected prediction folders paper-gso"),
        (("--gso", "{tmp}"), "expected objects for transforms, got an empty folder"),
        (("--gso-models", "{tmp}/no"), "expected the folder of the models"),
    ],
)
def test_mistakes_end_in_a_sentence(
    tables: Tables, tmp_path: Path, words: tuple[str, ...], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tables(tmp_path / "out", *(word.format(tmp=tmp_path) for word in words)) == 2
    assert sentence in capsys.readouterr().err
