"""The reward models of a run: the one that `train-reward` left, what sessions trained since, and which one judges.

    reward/                  what `train-reward` left
    reward/retrained/0001/   what a session trained, with decision.json: what came of it
    reward/in_use.json       which one judges; without it, the first

A session's is complete before it gets its name, and it judges from the moment on at which in_use.json names it: a kill
leaves the one before or the new one, never a part. Nothing is deleted, so that every judge can be gone back to.
`train-reward` writes a whole folder beside reward/ and lets the two change places; those of sessions go along.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from factory.run_folders import REWARD, REWARD_BEFORE, reward_folder
from trajectories.durable import delete_tree, move, replace_file, sync_tree
from trajectories.errors import CheckpointError, DiskError
from trajectories.writer_lock import only_writer

IN_USE = "in_use.json"
RETRAINED = "retrained"
DECISION = "decision.json"
_STAGED = ".training"
_REWARD_STAGED = ".reward.training"
_LOGS = ("*.jsonl",)
FIGURES = "evaluation.json"
"""In the folder of a reward model: what `evaluate-reward` measured of it on held-out episodes."""
_FIGURES = ("evaluation*.json",)
_STAYING = (*_FIGURES, f"{RETRAINED}/[!.]*/**/*")
"""What lies in a judge's folder and is no part of that judge: figures, which name theirs, and those of sessions."""


def judge_in_use(run_dir: Path) -> Path:
    """Folder of the reward model that judges; that of `train-reward` where no other one was adopted.

    Raises:
        CheckpointError: The note is damaged, or names a folder that isn't there.
    """
    folder = reward_folder(run_dir)
    path = folder / IN_USE
    if not path.is_file():
        return folder
    try:
        name = str(json.loads(path.read_text(encoding="utf-8"))["judge"])
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is damaged ({error!r}). It names the judge of the run; without the file it is that of "
            "`regrasp train-reward`."
        ) from error
    found = folder / RETRAINED / name
    if Path(name).name != name or not found.is_dir():
        raise CheckpointError(
            f"{path} names the judge {name!r}, and there is no {found}. Bring it back, or delete the file: the judge "
            "is then that of `regrasp train-reward`."
        )
    return found


def judge_digest(folder: Path) -> str:
    """Hex sha256 of the files that make up a reward model: not of logs, of figures about it, or of others beside it."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        beside = name.startswith((f"{RETRAINED}/", ".")) or any(map(path.match, (*_LOGS, *_FIGURES, IN_USE, DECISION)))
        if path.is_file() and not beside:
            total.update(name.encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def decisions(run_dir: Path) -> dict[str, dict[str, Any]]:
    """What came of every judge that sessions trained: name -> its decision.json, oldest first."""
    found = {}
    for path in sorted((reward_folder(run_dir) / RETRAINED).glob(f"*/{DECISION}")):
        try:
            found[path.parent.name] = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged ({error!r}); delete its folder, nothing judges by it.") from error
    return found


def keep_trained(run_dir: Path, train: Callable[[Path], str]) -> str:
    """Train the judge of the run into a folder beside it, whole, and let it take the place of the one before.

    From then on it judges. Until then the one before stays as it was, whatever ends the training.

    Args:
        run_dir: Of the run.
        train: Gets a folder with the logs of the one before in it, and nothing else; writes a reward model there.

    Returns:
        What `train` returned.

    Raises:
        ConfigError: Another process trains one; with its number.
        OSError: The disk refuses.
    """
    folder, staged = run_dir / REWARD, run_dir / _REWARD_STAGED
    with only_writer(folder):
        _sweep(run_dir)
        try:
            staged.mkdir()
            _carry(folder, staged, _LOGS)
            said = train(staged)
            _carry(folder, staged, _STAYING)
            sync_tree(staged)
            if os.path.lexists(folder):
                move(folder, run_dir / REWARD_BEFORE)
            move(staged, folder)
        finally:
            _sweep(run_dir)
    return said


def _sweep(run_dir: Path) -> None:
    """Delete what a training left beside the judge, which is put back where it is all that there is."""
    folder, before = run_dir / REWARD, run_dir / REWARD_BEFORE
    if os.path.lexists(before) and not os.path.lexists(folder):
        move(before, folder)
    for path in (before, run_dir / _REWARD_STAGED):
        if path.is_symlink():
            path.unlink()
        delete_tree(path)


def _carry(old: Path, new: Path, patterns: tuple[str, ...]) -> None:
    """Give a folder the files of another one that it doesn't have; they take no room where the disk knows links."""
    for path in (path for pattern in patterns for path in old.glob(pattern) if path.is_file()):
        target = new / path.relative_to(old)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(path, target)
        except OSError:
            shutil.copy2(path, target)


def keep_retrained(run_dir: Path, train: Callable[[Path], Mapping[str, Any]]) -> str:
    """Train a judge into a folder of its own and keep it, whatever is decided about it; returns its name.

    Args:
        run_dir: Of the run.
        train: Gets an empty folder; returns what its decision.json shall say. Where it raises nothing is kept.

    Raises:
        ConfigError: Another process trains one; with its number.
        DiskError: The disk refuses.
    """
    with only_writer(run_dir / REWARD):
        root = reward_folder(run_dir) / RETRAINED
        staged = root / _STAGED
        try:
            delete_tree(staged)
            staged.mkdir(parents=True)
            decision = train(staged)
            replace_file(staged / DECISION, json.dumps(dict(decision), indent=1).encode())
            name = f"{1 + max((int(path.name) for path in root.iterdir() if path.name.isdigit()), default=0):04d}"
            sync_tree(staged)
            move(staged, root / name)
        except OSError as error:
            raise DiskError(f"The judge that was trained can't be kept in {root}: {error}. Make room.") from error
        finally:
            delete_tree(staged)
    return name


def put_in_use(run_dir: Path, name: str) -> None:
    """Let a judge that a session trained judge from now on.

    Raises:
        DiskError: The disk refuses; the one before goes on.
    """
    folder = reward_folder(run_dir)
    content = {"judge": name, "before": os.path.relpath(judge_in_use(run_dir), folder)}
    content["sha256"] = judge_digest(folder / RETRAINED / name)
    try:
        replace_file(folder / IN_USE, json.dumps(content).encode() + b"\n")
    except OSError as error:
        raise DiskError(f"{folder / IN_USE} can't be written: {error}. Make room.") from error
