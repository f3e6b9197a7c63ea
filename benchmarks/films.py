"""One small film of a task: the policy before and after fine-tuning, forward and backward, from the same starts.

    python benchmarks/films.py runs/methods/pot_lid/seed7 docs/images/pot_lid.webp --steps 6000

Takes the films that `regrasp evaluate` left in the run folder (`evaluate.videos` of at least 1), of the first episode
of each direction, and writes an animated WebP: before on the left, after on the right, forward above. An episode that
is over stands still with its outcome's colour about it, green or red.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
from PIL import Image

sys.path.append(str(Path(__file__).resolve().parents[1]))

from commands.evaluate.conditions import evaluations_in
from factory.run_folders import start_of
from trajectories.errors import ConfigError
from trajectories.types import DIRECTIONS, UInt8

SIDE, RIM, FRAME_MS = 192, 3, 100
COLOURS = {"success": (40, 160, 60), "failure": (200, 40, 40), "unsure": (200, 160, 40)}
REST = 8
"""Frames for which the end is shown."""


def frames_of(film: Path) -> UInt8:
    """A film's frames, uint8 (T, SIDE, SIDE, 3) RGB."""
    with av.open(str(film)) as file:
        images = [frame.to_image().resize((SIDE, SIDE), Image.Resampling.LANCZOS) for frame in file.decode(video=0)]
    return np.stack([np.asarray(image) for image in images])


def find_film(run: Path, place: str, direction: str, mode: str) -> Path:
    """The film of the first episode of a direction under the conditions that were evaluated last.

    Raises:
        ConfigError: There is none.
    """
    folders = [each.folder for each in evaluations_in(run / "evaluations") if each.place == place]
    films = [film for folder in folders for film in folder.glob(f"{direction}_{mode}_0_*.mp4")]
    if not films:
        raise ConfigError(
            f"No film of {place}, {direction}, {mode} in {run / 'evaluations'}: run `regrasp evaluate` there with "
            "evaluate.videos=1."
        )
    return max(films, key=lambda film: film.stat().st_mtime)


def panel(film: Path, length: int) -> UInt8:
    """A film held at its end, with the colour of its outcome about what stands still; uint8 (length, H, W, 3)."""
    frames, colour = frames_of(film), COLOURS[film.stem.rsplit("_", 1)[1]]
    held = np.concatenate([frames, np.repeat(frames[-1:], length - len(frames), axis=0)])
    framed = np.pad(held, ((0, 0), (RIM, RIM), (RIM, RIM), (0, 0)), constant_values=255)
    over = framed[len(frames) - 1 :]
    edge = np.ones(framed.shape[1:3], bool)
    edge[RIM:-RIM, RIM:-RIM] = False
    over[:, edge] = colour
    return framed


def grid(rows: Sequence[Sequence[Path]]) -> UInt8:
    """The films beside and above each other, as long as the longest."""
    length = REST + max(len(frames_of(film)) for row in rows for film in row)
    return np.concatenate([np.concatenate([panel(film, length) for film in row], axis=2) for row in rows], axis=1)


def main() -> None:
    """Write the film."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder")
    parser.add_argument("out", type=Path, help="file to write, .webp")
    parser.add_argument("--method", default="regrasp")
    parser.add_argument("--steps", type=int, default=6000, help="of the policy afterwards")
    parser.add_argument("--mode", choices=("stochastic", "deterministic"), default="stochastic")
    given = parser.parse_args()
    places = (start_of(given.run, given.method).name, f"{given.method}/step_{given.steps}")
    films = [[find_film(given.run, place, direction, given.mode) for place in places] for direction in DIRECTIONS]
    images = [Image.fromarray(frame) for frame in grid(films)]
    given.out.parent.mkdir(parents=True, exist_ok=True)
    images[0].save(given.out, save_all=True, append_images=images[1:], duration=FRAME_MS, loop=0, quality=55, method=4)
    print(f"{given.out}: {len(images)} frames, {given.out.stat().st_size / 1e3:.0f} kB, of")
    for row in films:
        print("  " + ", ".join(f"{film.parent.name}/{film.name}" for film in row))


if __name__ == "__main__":
    main()
