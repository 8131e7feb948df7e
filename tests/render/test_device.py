"""The device asked for, or an error that names it: never another in silence."""

import subprocess
import sys
from pathlib import Path

from render.kernels import kernel_caches
from tests.render.conftest import EXAMPLES, ROOT

ABSENT = "METAL" if list(Path("/dev").glob("nvidia[0-9]*")) else "OPTIX"


def test_the_command_ends_with_1_and_the_sentence(tmp_path) -> None:
    command = [sys.executable, "-m", "app", "render", str(EXAMPLES / "dog.glb"), "--out", str(tmp_path / "views")]
    command += ["--set", f"render.device={ABSENT}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert f"expected a device for {ABSENT}, got nothing" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("*.webp"))


def test_kernels_are_kept_where_the_next_child_finds_them(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert kernel_caches("CPU") == {}
    caches = kernel_caches("auto")
    assert set(caches) == {"CUDA_CACHE_PATH", "OPTIX_CACHE_PATH", "SYCL_CACHE_DIR", "SYCL_CACHE_PERSISTENT"}
    assert Path(caches["CUDA_CACHE_PATH"]).is_dir()
    assert Path(caches["CUDA_CACHE_PATH"]).is_relative_to(tmp_path / "cache" / "zero123")


def test_unwritable_kernel_cache_uses_child_folder(tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert kernel_caches("CUDA") == {}
