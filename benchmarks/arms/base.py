"""The small run that several arms start from: data, a policy, a judge, made once."""

from __future__ import annotations

from pathlib import Path

from benchmarks.verb import regrasp
from factory.run_folders import data_folder, reward_folder

NAMES = ("left", "right", "window", "door")
"""Of arms."""


def make_base(run_dir: Path, *settings: str) -> None:
    """Collect, pre-train and train the judge in `run_dir`, each where it is not there yet."""
    given = (f"run_dir={run_dir}", "progress=false", *settings)
    for verb, place in (
        ("collect", data_folder(run_dir)),
        ("pretrain", run_dir / "pretrained"),
        ("train-reward", reward_folder(run_dir)),
    ):
        if not place.exists():
            regrasp(verb, *given)
