"""The house plan of CONTRIBUTING.md, enforced: who may import whom, and what light rooms must not pull in."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

MAY_IMPORT = {
    "base": set(),
    "geometry": set(),
    "render": {"base", "geometry"},
    "render.blender": {"render.job", "render.references", "geometry"},
    "shards": {"base", "geometry"},
    "report": {"base", "geometry"},
    "pipeline": {"base", "geometry", "render", "shards", "report"},
    "zero123": {"base", "geometry"},
    "photo": {"base", "geometry"},
    "train": {"base", "geometry", "shards", "zero123", "report"},
    "reconstruct": {"base", "geometry", "zero123", "report"},
    "inference": {"base", "geometry", "shards", "report", "pipeline", "photo", "zero123", "reconstruct"},
    "evaluation": {
        "base", "geometry", "render", "shards", "report", "pipeline", "photo", "zero123", "reconstruct", "inference",
    },
    "web": {
        "base", "geometry", "render", "shards", "report", "pipeline", "photo", "zero123", "reconstruct", "inference",
        "evaluation",
    },
    "app": {
        "base", "geometry", "render", "shards", "report", "pipeline", "photo", "zero123", "train", "reconstruct",
        "inference", "evaluation", "web",
    },
}  # fmt: skip

ONLY_HOME = {
    "bpy": ("render/blender/",),
    "mathutils": ("render/blender/",),
    "OpenEXR": ("render/blender/",),
    "ray": ("pipeline/cluster/", "train/ray_train.py"),
    "objaverse": ("pipeline/",),
    "deltalake": ("pipeline/",),
    "webdataset": ("shards/",),
    "fsspec": ("base/",),
    "pydantic": ("base/", "settings.py", "web/schemas.py", "web/browse/schemas.py"),
    "jinja2": ("report/",),
    "diffusers": ("zero123/",),
    "transformers": ("zero123/",),
    "torch.distributed": ("train/",),
    "trimesh": ("reconstruct/",),
    "pxr": ("reconstruct/usdz.py",),
    "cv2": ("photo/",),
    "onnxruntime": ("photo/",),
    "av": ("report/",),
    "fastapi": ("web/",),
    "starlette": ("web/",),
    "uvicorn": ("web/",),
}

LIGHT = ("render", "shards", "pipeline", "geometry")
HEAVY = ("bpy", "ray", "torch", "diffusers")


def sources(folder: str) -> list[Path]:
    return sorted(path for path in (ROOT / folder).rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def room_of(path: Path) -> str:
    parts = path.relative_to(ROOT).parts
    return "render.blender" if parts[:2] == ("render", "blender") else parts[0]


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(f"{package}.")


ALL_SOURCES = [path for room in MAY_IMPORT if "." not in room for path in sources(room)]


@pytest.mark.parametrize("path", ALL_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_room_imports_only_the_rooms_that_the_plan_allows(path: Path) -> None:
    room = room_of(path)
    ours = {name for name in MAY_IMPORT if "." not in name}
    for name in imported(path):
        if name.partition(".")[0] in ours:
            assert any(within(name, allowed) for allowed in {room, *MAY_IMPORT[room]}), f"{path}: imports {name}"


@pytest.mark.parametrize("path", ALL_SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_heavy_package_has_one_home(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    for name in imported(path):
        for package, homes in ONLY_HOME.items():
            if within(name, package):
                assert any(relative.startswith(home) or relative.endswith(home) for home in homes), (
                    f"{relative}: imports {name}, whose home is {' or '.join(homes)}"
                )


@pytest.mark.parametrize("path", [p for p in ALL_SOURCES if p.name == "__init__.py"], ids=str)
def test_an_init_holds_a_docstring_and_at_most_lazy_names(path: Path) -> None:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    assert isinstance(body[0], ast.Expr)
    for statement in body[1:]:
        types_alone = isinstance(statement, ast.If) and ast.unparse(statement.test) == "TYPE_CHECKING"
        assert types_alone or isinstance(statement, (ast.FunctionDef, ast.Assign, ast.ImportFrom)), ast.dump(statement)


def test_light_rooms_pull_in_nothing_heavy() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for room in LIGHT
        for path in sources(room)
        if room_of(path) != "render.blender" and path.name not in ("submit.py", "__main__.py")
    ]
    program = (
        "import importlib, sys\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
