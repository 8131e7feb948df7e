"""Everything made of a photo as one zip file."""

import zipfile
from pathlib import Path
from typing import IO

from web.photos import StoredPhoto

STORED = (".png", ".webp", ".glb")
"""Files that do not become smaller."""
# A fixed day, the first that zip files can state: equal files then give equal bytes.
FIRST_DAY = (1980, 1, 1, 0, 0, 0)


def pack_results(photo: StoredPhoto, cut_out_png: bytes, stream: IO[bytes]) -> None:
    """Write the cut-out and the files of all jobs, a folder for each; the same files give the same bytes."""
    results = photo.result("")
    with zipfile.ZipFile(stream, "w") as archive:
        _add(archive, "cut-out.png", cut_out_png)
        for path in sorted(results.rglob("*")):
            # Names with a dot are unfinished temporary files.
            if path.is_file() and not path.name.startswith("."):
                _add(archive, path.relative_to(results).as_posix(), path.read_bytes())


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(name, FIRST_DAY)
    entry.compress_type = zipfile.ZIP_STORED if Path(name).suffix in STORED else zipfile.ZIP_DEFLATED
    # Without permissions some programs unpack files that nobody may read.
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, data)
