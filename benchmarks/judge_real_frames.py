"""How well pictures of a robot's tasks, labelled by hand, are told apart: done or not, by probes on each backbone.

    python benchmarks/judge_real_frames.py FOLDER
    python benchmarks/judge_real_frames.py FOLDER --backbone ViT-B-32:laion2b_s34b_b79k

FOLDER has `frames.json` (`rewards.labelled_pictures`). For every representation (12x12 pixels, the embedded backbone,
and whatever of `CANDIDATES` and `--backbone` has its weights on this machine) three scores are measured:

- probe: logistic regression on the representation, classes weighed alike;
- goal: minus the distance to the mean of the goal pictures, as `reward=goal_pictures`;
- words: the backbone's own logit that the instruction is true of the picture, without any training.

Each is tried on episodes that it did not learn from: other episodes of the task; the task's other video; another task;
and other episodes whose pictures are mirrored, darker, brighter or warmer. Figures have 95 % intervals over episodes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

sys.path.append(str(Path(__file__).resolve().parents[1]))

from rewards.backbone import Backbone, load_backbone
from rewards.calibration import fit_calibration, sigmoid
from rewards.intervals import FIGURES, JudgedFrames, with_intervals
from rewards.labelled_pictures import DONE, UNCLEAR, LabelledPicture, read_pictures
from trajectories.errors import ConfigError, MissingDependencyError
from trajectories.types import Float64, UInt8

CANDIDATES = ("ViT-B-32:laion2b_s34b_b79k", "ViT-B-16-SigLIP2-256:webli", "MobileCLIP2-S0:dfndr2b")
FOLDS = 5
SIDE = 224
_PENALTY = 1e-2

Changed = Callable[[UInt8], UInt8]
CHANGES: Mapping[str, Changed] = {
    "as they are": lambda images: images,
    "mirrored": lambda images: images[:, :, ::-1],
    "darker": lambda images: _scaled(images, (0.6, 0.6, 0.6)),
    "brighter": lambda images: _scaled(images, (1.4, 1.4, 1.4)),
    "warmer": lambda images: _scaled(images, (1.2, 1.0, 0.75)),
}


def _scaled(images: UInt8, gains: tuple[float, float, float]) -> UInt8:
    return (images.astype(np.float32) * np.asarray(gains, np.float32)).clip(0, 255).astype(np.uint8)


@dataclass(frozen=True)
class Pictures:
    """N pictures and their representation, under each of `CHANGES`.

    Attributes:
        shown: The pictures.
        features: Name of the change -> float64 (N, D).
        words: Name of the change -> the backbone's own logit float64 (N,); empty for pixels.
    """

    shown: list[LabelledPicture]
    features: Mapping[str, Float64]
    words: Mapping[str, Float64]

    def of(self, name: str) -> NDArray[np.str_]:
        """An attribute of each picture: (N,)."""
        return np.array([str(getattr(one, name)) for one in self.shown])

    @property
    def done(self) -> NDArray[np.bool_]:
        """What the person said: (N,)."""
        return np.array([one.label == DONE for one in self.shown])


def fit_probe(features: Float64, done: NDArray[np.bool_]) -> Callable[[Float64], Float64]:
    """Logistic regression on standardised features (N, D), classes weighed alike; gives probabilities of others."""
    mean, spread = features.mean(axis=0), features.std(axis=0) + 1e-6
    x, y = (features - mean) / spread, done.astype(np.float64)
    weights = np.where(done, 0.5 / done.mean(), 0.5 / (1 - done.mean())) / len(done)

    def loss(parameters: Float64) -> tuple[float, Float64]:
        w, b = parameters[:-1], parameters[-1]
        z = x @ w + b
        error = weights * (sigmoid(z) - y)
        value = float((weights * (np.logaddexp(0, z) - y * z)).sum() + 0.5 * _PENALTY * w @ w)
        return value, np.append(x.T @ error + _PENALTY * w, error.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    return lambda others: sigmoid((others - mean) / spread @ found[:-1] + found[-1])


def fit_goal(features: Float64, done: NDArray[np.bool_]) -> Callable[[Float64], Float64]:
    """Distance to the mean goal picture, as a probability by Platt scaling: nearer is never less likely done."""
    goal = features[done].mean(axis=0)

    def nearness(others: Float64) -> Float64:
        return -np.linalg.norm(others - goal, axis=1)

    near = nearness(features)
    weights = np.where(done, 0.5 / done.mean(), 0.5 / (1 - done.mean()))
    calibrated = fit_calibration((near - near.mean()) / near.std(), done, weights)
    return lambda others: calibrated((nearness(others) - near.mean()) / near.std())


SCORES = {"probe": fit_probe, "goal": fit_goal}
Split = tuple[NDArray[np.bool_], NDArray[np.bool_]]


def other_episodes(pictures: Pictures, task: str) -> Iterator[Split]:
    """Learn from four fifths of a task's episodes, try on the rest."""
    mine, episodes = pictures.of("task") == task, pictures.of("episode")
    names = sorted(set(episodes[mine]))
    for fold in range(FOLDS):
        tried = mine & np.isin(episodes, names[fold::FOLDS])
        yield mine & ~tried, tried


def other_videos(pictures: Pictures, task: str) -> Iterator[Split]:
    """Learn from all of a task's videos but one, try on that; the folder of a picture names its video."""
    mine, videos = pictures.of("task") == task, np.array([one.episode.split("/")[0] for one in pictures.shown])
    for video in sorted(set(videos[mine])):
        yield mine & (videos != video), mine & (videos == video)


def other_tasks(pictures: Pictures, task: str) -> Iterator[Split]:
    """Learn from all other tasks, try on this one."""
    mine = pictures.of("task") == task
    yield ~mine, mine


def tried(pictures: Pictures, splits: Iterator[Split], score: str, change: str = "as they are") -> JudgedFrames | None:
    """Judge what each split tries by what it learned from pictures as they are; None where nothing can be learned."""
    done, rows = pictures.done, list[tuple[bool, float, bool, str, Mapping[str, str]]]()
    for learnt, others in splits:
        if not others.any():
            continue
        if score == "words":
            probability = sigmoid(pictures.words[change][others])
        elif done[learnt].any() and not done[learnt].all():
            learned = SCORES[score](pictures.features["as they are"][learnt], done[learnt])
            probability = learned(pictures.features[change][others])
        else:
            continue
        episodes = pictures.of("episode")[others]
        for truth, p, name in zip(done[others], probability, episodes, strict=True):
            rows.append((bool(truth), float(p), bool(p >= 0.5), str(name), {}))
    return JudgedFrames.of(rows) if rows else None


def line(title: str, judged: JudgedFrames | None) -> str:
    """A row of a Markdown table: episodes, pictures that are done, figures with intervals."""
    if judged is None or not judged.done.any():
        return f"| {title} | - | no picture is done | | | |"
    figures = with_intervals(judged)
    cells = []
    for name in FIGURES:
        value, low, high = figures[name]
        cells.append("-" if value is None else f"{value:.2f} ({low:.2f} to {high:.2f})")
    return f"| {title} | {figures['episodes']} | {figures['done']} of {figures['frames']} | {' | '.join(cells)} |"


def table(pictures: Pictures, scores: tuple[str, ...]) -> Iterator[str]:
    """All figures of one representation."""
    head = "| learned from → tried on | episodes | done | bal. accuracy | AUROC | FPR at 95 % recall | cal. error |"
    tasks = sorted({one.task for one in pictures.shown if one.label == DONE})
    for score in scores:
        yield f"\n**{score}**\n\n{head}\n|---|---|---|---|---|---|---|"
        kinds = {"other episodes": other_episodes, "other video": other_videos, "other tasks": other_tasks}
        for kind, splits in ({"no training": other_tasks} if score == "words" else kinds).items():
            for task in tasks:
                yield line(f"{kind} → {task}", tried(pictures, splits(pictures, task), score))
        for change in CHANGES:
            if change != "as they are":
                every = (split for task in tasks for split in other_episodes(pictures, task))
                yield line(f"other episodes → all, {change}", tried(pictures, every, score, change))


def between_tasks(pictures: Pictures) -> Iterator[str]:
    """AUROC of the probe, learned from one task (rows) and tried on another (columns)."""
    tasks, of = sorted({one.task for one in pictures.shown if one.label == DONE}), pictures.of("task")
    yield f"\nAUROC of the probe, from one task (row) to another (column)\n\n| | {' | '.join(tasks)} |"
    yield f"|---|{'---|' * len(tasks)}"
    for first in tasks:
        cells = []
        for second in tasks:
            judged = tried(pictures, iter([(of == first, of == second)]), "probe") if first != second else None
            cells.append("" if judged is None else f"{with_intervals(judged, 1)['auroc'][0]:.2f}")
        yield f"| {first} | {' | '.join(cells)} |"


def of_pixels(shown: list[LabelledPicture], images: UInt8) -> Pictures:
    """Pictures of 12x12 pixels, a square's mean each: what a backbone has to be better than."""

    def small(changed: UInt8) -> Float64:
        edges = np.linspace(0, SIDE, 13).astype(int)
        rows = np.stack([changed[:, a:b].mean(axis=1) for a, b in pairwise(edges)], 1)
        columns = [rows[:, :, a:b].mean(axis=2) for a, b in pairwise(edges)]
        return np.stack(columns, 2).reshape(len(changed), -1) / 255

    return Pictures(shown, {name: small(change(images)) for name, change in CHANGES.items()}, {})


def of_backbone(shown: list[LabelledPicture], images: UInt8, backbone: Backbone) -> Pictures:
    """The backbone's unit embeddings, and its own logit of each picture's instruction."""
    texts = backbone.encode_text([one.instruction for one in shown])
    features, words = {}, {}
    for name, change in CHANGES.items():
        embedded = backbone.encode_images(np.ascontiguousarray(change(images)))
        features[name] = embedded.double().cpu().numpy()
        words[name] = backbone.zero_shot(embedded, texts).double().cpu().numpy()
    return Pictures(shown, features, words)


def backbones(asked: list[str]) -> Iterator[tuple[str, Backbone]]:
    """The embedded one, and those asked for or known whose weights are on this machine."""
    yield "embedded", load_backbone()
    for named in asked or CANDIDATES:
        name, _, tag = named.partition(":")
        try:
            yield named, load_backbone(name, tag or None)
        except (MissingDependencyError, ConfigError) as error:
            if asked:
                raise
            print(f"left out, not on this machine: {named} ({str(error).split(':')[0][:80]})", file=sys.stderr)


def main() -> None:
    """Print all tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument(
        "--backbone", action="append", default=[], help="NAME:TAG of an open_clip model, any number of times"
    )
    asked = parser.parse_args()
    shown = [one for one in read_pictures(asked.folder) if one.label != UNCLEAR]
    images = np.stack([one.image(SIDE) for one in shown])
    print(f"{len(shown)} pictures of {len({one.episode for one in shown})} episodes, unclear ones left out.")
    print("\n## 12×12 pixels")
    for row in table(of_pixels(shown, images), ("probe", "goal")):
        print(row)
    for row in between_tasks(of_pixels(shown, images)):
        print(row)
    for name, backbone in backbones(asked.backbone):
        pictures = of_backbone(shown, images, backbone)
        print(f"\n## {name}")
        for row in (*table(pictures, ("probe", "goal", "words")), *between_tasks(pictures)):
            print(row)


if __name__ == "__main__":
    main()
