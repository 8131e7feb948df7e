"""The example photos of the page: renders of CC0 models of this repository."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A picture that comes with the page, and what it shows."""

    name: str
    alt: str

    @property
    def url(self) -> str:
        """The address of the picture on the server."""
        return f"/page/examples/{self.name}.webp"


EXAMPLES = (
    Example("burger", "a hamburger"),
    Example("dog", "a yellow dog"),
    Example("van", "an old, light blue van"),
    Example("stool", "a worn wooden stool"),
)
