"""The committed picture of the architecture is the one computed from the sources."""

from docs.architecture import PICTURE, levels, package_imports, svg, without_implied


def test_the_picture_is_up_to_date() -> None:
    assert PICTURE.read_text(encoding="utf-8") == svg(package_imports()), "run `python -m docs.architecture`"


def test_architecture_levels() -> None:
    imports = {"top": {"middle", "bottom"}, "middle": {"bottom"}, "bottom": set[str]()}
    assert without_implied(imports) == {"top": {"middle"}, "middle": {"bottom"}, "bottom": set()}
    assert levels(imports) == {"bottom": 0, "middle": 1, "top": 2}
