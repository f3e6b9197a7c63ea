"""Episodes for human eyes: a contact sheet of many, an annotated video of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.error import FFmpegError
from av.video.stream import VideoStream
from PIL import Image, ImageDraw, ImageFont

from trajectories.checks import check_array
from trajectories.durable import replacing
from trajectories.errors import InvalidEpisodeError, MissingDependencyError
from trajectories.types import Episode, Source, UInt8, UInt16

BACKGROUND, TEXT, DIM = (24, 26, 30), (240, 240, 240), (150, 155, 165)
OUTCOME_COLOURS = {"success": (60, 190, 90), "failure": (225, 75, 65), "unknown": (140, 145, 155)}
SOURCE_COLOURS = {
    Source.POLICY: (95, 160, 245),
    Source.PERSON: (245, 175, 60),
    Source.EXPERT: (190, 130, 240),
}
THUMBNAIL_HEIGHT = 144
VIDEO_HEIGHT = 480
MARGIN = 8
_NEAR_MM, _FAR_MM = 100.0, 3000.0
ENCODERS = ("libx264", "mpeg4")  # of FFmpeg, best first
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def contact_sheet(episodes: Sequence[Episode], columns: int = 8, height: int = THUMBNAIL_HEIGHT) -> UInt8:
    """One row an episode: a caption, and frames spread evenly over its time.

    Args:
        episodes: At least one.
        columns: Frames a row; the first and the last frame are always among them.
        height: Of a frame, pixels; all cameras are shown one above the other, depth below its camera.

    Returns:
        uint8 (H, W, 3).

    Raises:
        InvalidEpisodeError: When there are no episodes or fewer than two columns.
    """
    if not episodes or columns < 2:
        raise InvalidEpisodeError(
            f"A contact sheet needs an episode and two columns, got {len(episodes)} and {columns}."
        )
    rows = [_contact_row(episode, columns, height) for episode in episodes]
    sheet = Image.new("RGB", (max(row.width for row in rows), sum(row.height for row in rows)), BACKGROUND)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return np.asarray(sheet)


def annotated_frames(episode: Episode, control_hz: float, height: int = VIDEO_HEIGHT) -> Iterator[UInt8]:
    """The T + 1 frames of an episode, enlarged, cameras and depth side by side, with a panel that explains them.

    The panel shows the instruction, step and time, who chose the action that follows, and the probability of
    success as number and bar; on the last frame the outcome.

    Args:
        episode: What to show.
        control_hz: Steps per second.
        height: Of the images, pixels.

    Yields:
        uint8 (H, W, 3), all of one even height and width.
    """
    for t in range(len(episode) + 1):
        pictures = [_enlarge(film[t], height) for film in _films(episode)]
        width = max(sum(picture.width for picture in pictures), height)
        panel = _panel(episode, t, control_hz, width, max(14, height // 26))
        size = (width + width % 2, height + panel.height + (height + panel.height) % 2)
        canvas = Image.new("RGB", size, BACKGROUND)
        left = 0
        for picture in pictures:
            canvas.paste(picture, (left, 0))
            left += picture.width
        canvas.paste(panel, (0, height))
        yield np.asarray(canvas)


def write_mp4(path: str | Path, frames: Iterable[UInt8], fps: float) -> None:
    """Write a video that browsers play (H.264; MPEG-4 part 2 where FFmpeg has no x264).

    The file appears when it is complete and on the disk. Odd heights and widths lose their last row or column.

    Args:
        path: Of the MP4; its folder must exist.
        frames: uint8 (H, W, 3) RGB, all of one size, at least one.
        fps: Frames per second.

    Raises:
        InvalidEpisodeError: When there are no frames, or they are not uint8 RGB of one size.
        MissingDependencyError: When FFmpeg has neither encoder.
    """
    path, remaining = Path(path), iter(frames)
    first = next(remaining, None)
    if first is None:
        raise InvalidEpisodeError(f"There are no frames to write to {path}.")
    check_array(first, "video frame", (*first.shape[:2], 3), np.uint8)
    height, width = first.shape[0] // 2 * 2, first.shape[1] // 2 * 2  # 4:2:0 halves the colour's resolution
    with replacing(path) as part, av.open(str(part), "w", format="mp4", options={"movflags": "faststart"}) as container:
        encoder = first_encoder(ENCODERS)
        stream = cast(VideoStream, container.add_stream(encoder, Fraction(fps).limit_denominator(1001)))
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        if encoder == "libx264":
            stream.options = {"crf": "20", "preset": "veryfast"}
        for frame in chain([first], remaining):
            check_array(frame, "video frame", first.shape, np.uint8)
            even = np.ascontiguousarray(frame[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(even, format="rgb24")))
        container.mux(stream.encode(None))


def first_encoder(names: Iterable[str], instead: str = "") -> str:
    """The first of these encoders that FFmpeg has here.

    Args:
        names: FFmpeg's names of them, best first.
        instead: What a person can do without any, for the message.

    Raises:
        MissingDependencyError: It has none of them.
    """
    names = list(names)
    for name in names:
        try:
            av.Codec(name, "w")
        except (ValueError, FFmpegError):
            continue
        return name
    raise MissingDependencyError(
        f"FFmpeg has none of {', '.join(names)}; install PyAV from its binary wheel (pip install av){instead}."
    )


def depth_picture(depth: UInt16) -> UInt8:
    """Depth for human eyes: the nearer the brighter, on a logarithmic scale from 0.1 m to 3 m; black: not measured.

    Args:
        depth: uint16 (..., H, W), mm.

    Returns:
        uint8 (..., H, W, 3), grey.
    """
    span = np.log(_FAR_MM / _NEAR_MM)
    far = np.log(np.clip(depth, _NEAR_MM, _FAR_MM) / _NEAR_MM) / span
    grey = np.where(depth > 0, np.rint(255 - 215 * far), 0).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=-1)


def _films(episode: Episode) -> list[UInt8]:
    """Images of every camera, (T + 1, H, W, 3) each, by name; depth behind those of its camera."""
    films = []
    for camera in sorted(episode.images):
        films.append(episode.images[camera])
        if camera in episode.depth:
            films.append(depth_picture(episode.depth[camera]))
    return films


def _contact_row(episode: Episode, columns: int, height: int) -> Image.Image:
    times = np.linspace(0, len(episode), columns).round().astype(int)
    films = _films(episode)
    stacks = [[_enlarge(film[t], height) for t in times] for film in films]
    caption = max(13, height // 9)
    width = max(sum(picture.width + 2 for picture in stack) for stack in stacks)
    row = Image.new("RGB", (width, caption + 2 * MARGIN + len(stacks) * (height + 2) + MARGIN), BACKGROUND)
    draw = ImageDraw.Draw(row)
    colour = OUTCOME_COLOURS[episode.outcome]
    draw.rectangle((0, MARGIN, MARGIN // 2, MARGIN + caption), fill=colour)
    font = ImageFont.load_default(caption)
    text = f"{episode.outcome}  "
    draw.text((MARGIN, MARGIN), text, fill=colour, font=font)
    rest = f"{episode.task}, {episode.direction}, {len(episode)} steps: {episode.instruction}   {episode.id}"
    left = MARGIN + int(draw.textlength(text, font=font))
    draw.text((left, MARGIN), _fit(draw, rest, font, width - left), fill=TEXT, font=font)
    top = caption + 2 * MARGIN
    for stack in stacks:
        left = 0
        for picture in stack:
            row.paste(picture, (left, top))
            left += picture.width + 2
        top += height + 2
    return row


def _panel(episode: Episode, t: int, control_hz: float, width: int, size: int) -> Image.Image:
    """Three lines of text of `size` pixels: instruction, step and source, probability with a bar."""
    line = size + MARGIN
    panel = Image.new("RGB", (width, 3 * line + MARGIN), BACKGROUND)
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(size)
    half = width // 2
    draw.text((MARGIN, MARGIN), _fit(draw, episode.instruction, font, width), fill=TEXT, font=font)
    progress = f"step {t} of {len(episode)}   {t / control_hz:.1f} s"
    draw.text((MARGIN, MARGIN + line), progress, fill=TEXT, font=font)
    if t < len(episode):
        source = Source(int(episode.source[t]))
        version = int(episode.policy_version[t])
        actor = source.name.lower() + (f", version {version}" if version >= 0 else "")
        colour = SOURCE_COLOURS[source]
    else:
        actor, colour = f"end: {episode.outcome}", OUTCOME_COLOURS[episode.outcome]
    draw.text((half, MARGIN + line), _fit(draw, actor, font, width - half), fill=colour, font=font)
    top = MARGIN + 2 * line
    probability = float(episode.success_probability[t])
    if np.isnan(probability):
        draw.text((MARGIN, top), "success not judged", fill=DIM, font=font)
        return panel
    draw.text((MARGIN, top), f"success {probability:.2f}", fill=TEXT, font=font)
    right = width - MARGIN
    draw.rectangle((half, top, right, top + size), outline=DIM)
    filled = half + round(probability * (right - half))
    colour = OUTCOME_COLOURS["success" if probability > 0.5 else "failure"]
    draw.rectangle((half, top, filled, top + size), fill=colour)
    return panel


def _enlarge(image: UInt8, height: int) -> Image.Image:
    """Scaled to `height`; whole factors keep the camera's pixels visible as they are."""
    whole = height % image.shape[0] == 0
    width = round(image.shape[1] * height / image.shape[0])
    how = Image.Resampling.NEAREST if whole else Image.Resampling.BICUBIC
    return Image.fromarray(image).resize((width, height), how)


def _fit(draw: ImageDraw.ImageDraw, text: str, font: Font, width: int) -> str:
    """The text, cut with an ellipsis where it is wider than `width` less a margin."""
    if draw.textlength(text, font=font) <= width - 2 * MARGIN:
        return text
    while text and draw.textlength(text + "...", font=font) > width - 2 * MARGIN:
        text = text[:-1]
    return text.rstrip() + "..."
