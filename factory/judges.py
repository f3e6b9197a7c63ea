"""The reward models of a run: the one that `train-reward` left, what sessions trained since, and which one judges.

    reward/                  what `train-reward` left
    reward/retrained/0001/   what a session trained, with decision.json: what came of it
    reward/in_use.json       which one judges; without it, the first

A new one is complete before it gets its name, and it judges from the moment on at which in_use.json names it: a kill
leaves the one before or the new one, never a part. Nothing is deleted, so that every judge can be gone back to.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from factory.run_folders import reward_folder
from trajectories.durable import delete_tree, move, replace_file, sync_folder
from trajectories.errors import CheckpointError, DiskError

IN_USE = "in_use.json"
RETRAINED = "retrained"
DECISION = "decision.json"
_STAGED = ".training"


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


def decisions(run_dir: Path) -> dict[str, dict[str, Any]]:
    """What came of every judge that sessions trained: name -> its decision.json, oldest first."""
    found = {}
    for path in sorted((reward_folder(run_dir) / RETRAINED).glob(f"*/{DECISION}")):
        try:
            found[path.parent.name] = dict(json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{path} is damaged ({error!r}); delete its folder, nothing judges by it.") from error
    return found


def keep_retrained(run_dir: Path, train: Callable[[Path], Mapping[str, Any]]) -> str:
    """Train a judge into a folder of its own and keep it, whatever is decided about it; returns its name.

    Args:
        run_dir: Of the run.
        train: Gets an empty folder; returns what its decision.json shall say. Where it raises nothing is kept.

    Raises:
        DiskError: The disk refuses.
    """
    root = reward_folder(run_dir) / RETRAINED
    staged = root / _STAGED
    try:
        delete_tree(staged)
        staged.mkdir(parents=True)
        decision = train(staged)
        replace_file(staged / DECISION, json.dumps(dict(decision), indent=1).encode())
        name = f"{1 + max((int(path.name) for path in root.iterdir() if path.name.isdigit()), default=0):04d}"
        sync_folder(staged)
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
    content["sha256"] = _digest(folder / RETRAINED / name)
    try:
        replace_file(folder / IN_USE, json.dumps(content).encode() + b"\n")
    except OSError as error:
        raise DiskError(f"{folder / IN_USE} can't be written: {error}. Make room.") from error


def back_to_first(run_dir: Path) -> None:
    """Let that of `train-reward` judge, which has just left a new one."""
    (reward_folder(run_dir) / IN_USE).unlink(missing_ok=True)


def _digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file() and path.name != DECISION):
        total.update(path.relative_to(folder).as_posix().encode() + hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()
