"""Pictures of binary formats: the parent finds the files, and the child links them again."""

from collections.abc import Collection, Iterable, Iterator

from render.formats.model_files import ModelFiles
from render.formats.surroundings import Surroundings
from render.references import FIRST_TILE, LAST_TILE, TILES, file_name, picture_key, use_slashes


def picture_files(names: Iterable[str], around: Surroundings, *, embedded: Collection[str] = frozenset()) -> ModelFiles:
    """Find the pictures of these `names`. Pictures with a file name in `embedded` are only looked for beside the model.

    Names without a file are left to Blender, since only Blender knows the pictures in use.
    """
    files, pictures = dict[str, str](), dict[str, str]()
    for name in names:
        found = around.find(name.replace(TILES, str(FIRST_TILE)))
        if found is None or (file_name(name) in embedded and not _is_beside(name, found)):
            continue
        found = found.replace(str(FIRST_TILE), TILES) if TILES in name else found
        files |= dict.fromkeys(tile_files(found, around), found)
        pictures[picture_key(name)] = found
        pictures.setdefault(file_name(name), found)
    return ModelFiles(files={name: around.path(name) for name in sorted(files)}, pictures=pictures)


def tile_files(found: str, around: Surroundings) -> Iterator[str]:
    """Yield the files of a picture: the picture itself, or its tiles."""
    if TILES not in found:
        yield found
        return
    numbers = range(FIRST_TILE, LAST_TILE + 1)
    yield from (name for tile in numbers if around.is_file(name := found.replace(TILES, str(tile))))


def _is_beside(name: str, found: str) -> bool:
    """True for a file at the named place, or in the model's folder."""
    return "/" not in found or found == use_slashes(name)
