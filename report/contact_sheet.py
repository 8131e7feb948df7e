"""Contact sheets: many views in a single picture, on an exact grid."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from base.text import replace_controls
from report.images import Pixels, check_pixels

LABEL_GREY = (130, 136, 146, 255)
MARK_ORANGE = (222, 98, 40, 255)
"""Both are readable on white and on dark pages, because sheets keep their alpha."""


@dataclass(frozen=True)
class SheetGrid:
    """Positions of `columns` × `rows` cells of `cell_hw` pixels, `gap` apart, with `label_px` below each; no margin."""

    columns: int
    rows: int
    cell_hw: tuple[int, int]
    gap: int
    label_px: int

    @property
    def hw(self) -> tuple[int, int]:
        """Height and width of the whole sheet in pixels."""
        height, width = self.cell_hw
        return (
            self.rows * (height + self.label_px) + (self.rows - 1) * self.gap,
            self.columns * width + (self.columns - 1) * self.gap,
        )

    def corner(self, index: int) -> tuple[int, int]:
        """Return (row, column) in pixels of the top-left corner of cell `index`, counted along rows."""
        row, column = divmod(index, self.columns)
        height, width = self.cell_hw
        return row * (height + self.label_px + self.gap), column * (width + self.gap)


def sheet_grid(count: int, cell_hw: tuple[int, int], *, columns: int, gap: int = 8, label_px: int = 0) -> SheetGrid:
    """Lay out `count` cells. Raises ValueError without cells or columns."""
    if count < 1 or columns < 1:
        raise ValueError(f"expected at least 1 image and 1 column, got {count} and {columns}")
    # Few images make a narrow sheet, without empty columns.
    columns = min(columns, count)
    return SheetGrid(columns, -(-count // columns), cell_hw, gap, label_px)


def contact_sheet(
    images: Sequence[Pixels],
    *,
    labels: Sequence[str] | None = None,
    columns: int = 6,
    cell_px: int | None = None,
    marked: Collection[int] = (),
) -> Image.Image:
    """Arrange images along rows on a transparent RGBA sheet, each centred in its cell.

    A cell is as large as the largest image. With `cell_px` it is a square of that edge, and images are scaled to it.
    `labels` are written under the cells, cut to their width, in orange for `marked` cells. Raises ValueError without
    images, or when there are not as many labels as images.
    """
    if labels is not None and len(labels) != len(images):
        raise ValueError(f"expected {len(images)} labels, as many as images, got {len(labels)}")
    pictures = [_scale_to_cell(Image.fromarray(check_pixels(pixels)).convert("RGBA"), cell_px) for pixels in images]
    width = cell_px or max((picture.width for picture in pictures), default=1)
    height = cell_px or max((picture.height for picture in pictures), default=1)
    # Pillow's own font, so that sheets are the same on every machine.
    font = ImageFont.load_default(size=max(9, width // 8)) if labels else None
    label_px = max(14, width // 6) if labels else 0
    grid = sheet_grid(len(pictures), (height, width), columns=columns, label_px=label_px)
    sheet = Image.new("RGBA", grid.hw[::-1], (0, 0, 0, 0))
    for index, picture in enumerate(pictures):
        row, column = grid.corner(index)
        sheet.paste(picture, (column + (width - picture.width) // 2, row + (height - picture.height) // 2))
    if labels and font is not None:
        _write_labels(sheet, grid, labels, font, marked)
    return sheet


def _scale_to_cell(picture: Image.Image, cell_px: int | None) -> Image.Image:
    if cell_px is None or max(picture.size) == cell_px:
        return picture
    scale = cell_px / max(picture.size)
    wh = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(wh, Image.Resampling.LANCZOS)


def _write_labels(
    sheet: Image.Image,
    grid: SheetGrid,
    labels: Sequence[str],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    marked: Collection[int],
) -> None:
    draw = ImageDraw.Draw(sheet)
    height, width = grid.cell_hw
    for index, label in enumerate(labels):
        row, column = grid.corner(index)
        # Labels may come from outside; a line break would run into the next cell.
        text = " ".join(replace_controls(label).split())
        while text and draw.textlength(text, font=font) > width:
            text = text[:-1]
        left = column + (width - draw.textlength(text, font=font)) / 2
        colour = MARK_ORANGE if index in marked else LABEL_GREY
        draw.text(
            (left, row + height + grid.label_px / 8),
            text,
            fill=colour,
            font=font,
        )
