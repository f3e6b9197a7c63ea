"""The board on an A4 page, at its true size, with a bar of 100 mm to check the print."""

from __future__ import annotations

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from drivers.calibration.board import Board
from trajectories.errors import ConfigError

PIXELS_PER_MM = 12
PAGE_MM = (297, 210)
"""A4, landscape."""
BAR_MM = 100
_BAR_TOP_MM, _BAR_LEFT_MM, _BAR_HEIGHT_MM = 190, 20, 2
_MARGIN_MM = 15
SUFFIXES = (".pdf", ".png")


def print_board(board: Board, path: Path) -> None:
    """Write the page as PDF or PNG, by the path's suffix.

    Raises:
        ConfigError: For another suffix, or a board larger than the page, or when the file can't be written.
        MissingDependencyError: Without OpenCV.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"The board can be written as {' or '.join(SUFFIXES)}, got {path.name!r}.")
    width, height = (1e3 * side for side in board.size_m)
    if width > PAGE_MM[0] - 2 * _MARGIN_MM or height > _BAR_TOP_MM - 2 * _MARGIN_MM:
        raise ConfigError(f"A board of {width:g} x {height:g} mm doesn't fit on A4; choose fewer or smaller squares.")
    page = Image.new("L", (PAGE_MM[0] * PIXELS_PER_MM, PAGE_MM[1] * PIXELS_PER_MM), 255)
    left = (page.width - round(width * PIXELS_PER_MM)) // 2
    page.paste(Image.fromarray(board.picture(PIXELS_PER_MM)), (left, _MARGIN_MM * PIXELS_PER_MM))
    _draw_bar(page, board)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        dots = PIXELS_PER_MM * 25.4
        page.convert("1", dither=Image.Dither.NONE).save(path, dpi=(dots, dots), resolution=dots)
    except OSError as error:
        raise ConfigError(f"{path} can't be written: {error}.") from error


def _draw_bar(page: Image.Image, board: Board) -> None:
    """The scale bar, with a tick every 10 mm, and what to do with it."""
    draw = ImageDraw.Draw(page)
    left, top, thick = (mm * PIXELS_PER_MM for mm in (_BAR_LEFT_MM, _BAR_TOP_MM, _BAR_HEIGHT_MM))
    draw.rectangle((left, top, left + BAR_MM * PIXELS_PER_MM - 1, top + thick - 1), fill=0)
    for mm in range(0, BAR_MM + 1, 10):
        x = left + min(mm * PIXELS_PER_MM, BAR_MM * PIXELS_PER_MM - 1)
        draw.line((x, top - thick, x, top), fill=0, width=2)
    text = (
        f"This bar is {BAR_MM} mm long. Print at 100 %, without fitting to the page, then measure: squares "
        f"{board.square_mm:g} mm, markers {board.marker_mm:g} mm."
    )
    font = ImageFont.load_default(size=3 * PIXELS_PER_MM)
    draw.text((left, top + 2 * thick), text, fill=0, font=font)
