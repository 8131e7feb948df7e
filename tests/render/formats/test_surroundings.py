"""Files that a model names: found under other spellings and in other layouts, and never outside the source's root."""

from pathlib import Path

import pytest

from base.outcomes import Outcome
from render.formats.refused import Refused
from render.formats.registry import model_files
from render.formats.roots import Root
from render.formats.surroundings import Surroundings
from tests.render.found import companions

OBJ = b"v 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl a\nf 1 2 3\n"


def written(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


@pytest.mark.parametrize(
    ("there", "named", "found"),
    [
        ("tex.png", "tex.png", "tex.png"),
        ("textures/tex.png", "textures\\tex.png", "textures/tex.png"),
        ("textures/tex.png", ".\\textures\\tex.png", "./textures/tex.png"),
        ("Textures/TEX.PNG", "textures/tex.png", "Textures/TEX.PNG"),
        ("caf\u00e9.png", "cafe\u0301.png", "caf\u00e9.png"),
        ("textures/tex.png", "tex.png", "textures/tex.png"),
        ("tex.png", "textures/tex.png", "tex.png"),
        ("maps/wood/tex.png", "C:\\work\\maps\\wood\\tex.png", "maps/wood/tex.png"),
        ("model.fbm/tex.png", "/home/me/tex.png", "model.fbm/tex.png"),
        ("parts/tex.png", "tex.png", "parts/tex.png"),
        ("../textures/tex.png", "tex.png", "../textures/tex.png"),
        ("../images/tex.png", "../images/tex.png", "../images/tex.png"),
        ("../../textures/tex.png", "D:/x/tex.png", "../../textures/tex.png"),
        ("../other/tex.png", "tex.png", None),
        ("../tex.png", "tex.png", None),
        ("../../../out/tex.png", "../../../out/tex.png", None),
        ("other/tex.png", "http://127.0.0.1:9/tex.png", None),
    ],
)
def test_a_picture_is_found_where_it_can_be(tmp_path: Path, there: str, named: str, found: str | None) -> None:
    """The root is two folders above the model."""
    folder = tmp_path / "root" / "item" / "source"
    written(folder, "model.obj", there)
    around = Surroundings(folder / "model.obj", Root.of_folder(tmp_path / "root"))
    assert around.find(named) == found


def test_folders_of_other_models_are_not_searched(tmp_path: Path) -> None:
    written(tmp_path, "a.obj", "other/b.obj", "other/tex.png", "other/textures/tex.png")
    assert Surroundings(tmp_path / "a.obj").find("tex.png") is None
    written(tmp_path, "b.obj", "loose/tex.png")
    assert Surroundings(tmp_path / "a.obj").find("tex.png") is None


def test_lone_model_finds_pictures_beside_its_folder(tmp_path: Path) -> None:
    written(tmp_path, "images/tex.png", "secret.mtl", "models/model.obj")
    root = Root.of_file(tmp_path / "models" / "model.obj")
    around = Surroundings(tmp_path / "models" / "model.obj", root)
    assert around.find("../images/tex.png") == "../images/tex.png"
    assert around.find("../secret.mtl", picture=False) is None
    assert Surroundings(tmp_path / "models" / "model.obj").find("../images/tex.png") is None


def test_links_may_lead_below_the_root_and_not_out_of_it(tmp_path: Path) -> None:
    root, folder = tmp_path / "root", tmp_path / "root" / "item"
    written(tmp_path, "secret.png", "root/store/real.png", "root/item/model.obj")
    (folder / "in.png").symlink_to(root / "store" / "real.png")
    (folder / "out.png").symlink_to(tmp_path / "secret.png")
    (folder / "textures").symlink_to(folder)  # a loop
    around = Surroundings(folder / "model.obj", Root.of_folder(root))
    assert around.find("in.png") == "in.png"
    assert around.find("out.png") is None
    assert around.find("gone.png") is None


def test_a_linked_folder_of_the_source_has_its_own_files(tmp_path: Path) -> None:
    written(tmp_path, "store/a/models/model.obj", "store/a/images/tex.png", "root/b.obj")
    (tmp_path / "root" / "a").symlink_to(tmp_path / "store" / "a")
    model = tmp_path / "root" / "a" / "models" / "model.obj"
    around = Surroundings(model, Root.of_folder(tmp_path / "root"))
    assert around.find("../images/tex.png") == "../images/tex.png"


@pytest.mark.parametrize("alone", [True, False])
def test_a_snapshot_of_the_hub_has_its_files_in_blobs(tmp_path: Path, alone: bool) -> None:
    repository = tmp_path / "models--me--chairs"
    snapshot = repository / "snapshots" / "0123abcd"
    written(repository, "blobs/8f3a", "blobs/9c1d", "refs/main")
    (tmp_path / "models--other" / "blobs").mkdir(parents=True)
    (snapshot / "textures").mkdir(parents=True)
    for name, blob in {"chair.obj": "8f3a", "textures/tex.png": "9c1d"}.items():
        levels = "../" * (2 + name.count("/"))
        (snapshot / name).symlink_to(f"{levels}blobs/{blob}")
    (repository / "blobs" / "8f3a").write_bytes(b"mtllib m.mtl\n" + OBJ)
    (snapshot / "m.mtl").write_text("newmtl a\nmap_Kd textures/tex.png\n")
    root = Root.of_file(snapshot / "chair.obj") if alone else Root.of_folder(snapshot)
    assert companions(snapshot / "chair.obj", root) == ["m.mtl", "textures/tex.png"]


def model(folder: Path, obj: bytes, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "model.obj").write_bytes(obj)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder / "model.obj"


@pytest.mark.parametrize(
    ("obj", "files", "missing"),
    [
        (b"mtllib gone.mtl\n" + OBJ, {}, ("gone.mtl",)),
        (OBJ, {}, ()),  # no library is named
        (b"mtllib m.mtl\n" + OBJ, {"m__mtl": "newmtl a\nmap_Kd gone.png\n"}, ("gone.png",)),
        (b"mtllib m.mtl\n" + OBJ, {"m__mtl": "newmtl a\nKd 1 0 0\nnewmtl b\nmap_Kd gone.png\n"}, ()),
        (b"mtllib M.MTL\n" + OBJ, {"m__mtl": "newmtl a\nKd 1 0 0\n"}, ()),
        (b"mtllib old name.mtl\n" + OBJ, {"model__mtl": "newmtl a\nKd 1 0 0\n"}, ()),
        (b"mtllib m.mtl n.mtl\n" + OBJ, {"m__mtl": "newmtl b\n", "n__mtl": "newmtl a\nmap_d no.png\n"}, ("no.png",)),
    ],
)
def test_the_pictures_that_an_obj_shows_and_lacks_are_named(
    tmp_path: Path, obj: bytes, files: dict[str, str], missing: tuple[str, ...]
) -> None:
    assert model_files(model(tmp_path, obj, **files)).missing == missing


def test_faces_without_a_material_get_the_only_one(tmp_path: Path) -> None:
    bare = OBJ.replace(b"usemtl a\n", b"")
    found = model_files(model(tmp_path, b"mtllib m.mtl\n" + bare, m__mtl="newmtl wood\nKd 1 0 0\n"))
    assert found.content is not None
    assert (found.content[0], found.missing) == (b"usemtl wood\n", ())
    two = "newmtl wood\nmap_Kd a.png\nnewmtl iron\n"
    (tmp_path / "a.png").write_bytes(b"x")
    assert model_files(model(tmp_path, b"mtllib m.mtl\n" + bare, m__mtl=two)).missing == (
        "a.png (no face names its material)",
    )


def test_the_joined_library_names_the_files_that_were_found(tmp_path: Path) -> None:
    written(tmp_path, "Textures/Tex.PNG")
    text = "newmtl a\r\nmap_Kd -s 2 2 1 textures\\tex.png\r\nmap_Bump -bm 0.5 gone.png\r\nKs 0 0 0\r\n"
    found = model_files(model(tmp_path, b"mtllib m.mtl\n" + OBJ, m__mtl=text))
    assert found.texts["model.mtl"].split() == b"newmtl a map_Kd -s 2 2 1 Textures/Tex.PNG Ks 0 0 0".split()
    assert (found.missing, list(found.files)) == (("gone.png",), ["Textures/Tex.PNG", "m.mtl"])


def test_a_picture_above_the_root_is_refused(tmp_path: Path) -> None:
    written(tmp_path, "secret.png")
    path = model(tmp_path / "in", b"mtllib m.mtl\n" + OBJ, m__mtl="newmtl a\nmap_Kd ../secret.png\n")
    with pytest.raises(Refused, match="leaves its folder") as caught:
        model_files(path)
    assert caught.value.outcome is Outcome.UNSUPPORTED
