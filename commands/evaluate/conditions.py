"""What an evaluation's figures hold for, and where evaluations under these conditions lie.

evaluations/<digest of the conditions>/pretrained/result.json
evaluations/<digest of the conditions>/<method>/step_<n>/result.json

Evaluations of earlier versions lie in `evaluations/` itself; they are found where what they say of their conditions is
what is asked for.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from factory.arm import DEFAULT_ARM, arm_of
from factory.judges import judge_digest
from factory.spec import camera_names
from factory.task import description_of
from factory.twin import UNSHIFTED, lab_of
from trajectories.conditions import SHOWN_DIGITS, completed, differences, said, short_digest
from trajectories.errors import ConfigError

RESULT = "result.json"
PREDICATE = "physics predicate"
ARRANGED = "as the person arranged it"
_OBSERVED = re.compile(r"cameras (\[.*\]) at (\d+)x\d+")
_DIGEST = re.compile(rf"[0-9a-f]{{{SHOWN_DIGITS}}}")


@dataclass(frozen=True)
class Conditions:
    """What the figures of an evaluation depend on, besides the policy and how many episodes there are.

    Attributes:
        task: Name.
        robot: "twin", "virtual", "widowx" or another one's name.
        arm: Name of its model.
        judge: Who said whether an episode succeeded.
        reward: Digest of the reward model, where it judges or ends episodes; else None.
        cameras: What the policy saw.
        image_size: Height and width of the images, pixels.
        spread: Where objects started.
        randomise: Whether looks varied; None where a person arranges the scene.
        seed: Of the starts.
        max_steps: Time limit, control steps.
        description: Of a task that a YAML describes, for the twin; "" for the twin's own and with a person's scene.
        shift: What varied in the twin beyond all that training saw; "none" elsewhere.
        frame_loss: Share of the cameras' frames that never arrived in the twin; 0 elsewhere.
        lab: In which lab of the twin; None where each start drew its looks.
        action_delay: Control steps by which actions were executed late.
        picture_delay: Control steps by which the policy's pictures were old.
        wordings: Whose instructions were given: "" for the task's own, else the held-out ones, one a line.
    """

    task: str
    robot: str
    arm: str
    judge: str
    reward: str | None
    cameras: tuple[str, ...]
    image_size: int
    spread: str
    randomise: bool | None
    seed: int
    max_steps: int
    description: str = ""
    shift: str = UNSHIFTED
    frame_loss: float = 0.0
    lab: int | None = None
    action_delay: int = 0
    picture_delay: int = 0
    wordings: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types, without what is as ever (`_AS_EVER`), so that figures of before keep their digests."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return {name: value for name, value in plain.items() if _AS_EVER.get(name) != value}

    @property
    def digest(self) -> str:
        """The name of their folder."""
        return short_digest(self.to_dict())


_AS_EVER: dict[str, Any] = {entry.name: entry.default for entry in fields(Conditions) if entry.default is not MISSING}
"""Entries that later versions added, as they were before there was a choice."""


def conditions_of(config: DictConfig, judge: str, reward: Path | None = None) -> Conditions:
    """The conditions of the settings.

    Args:
        config: Settings.
        judge: Who says whether an episode succeeded.
        reward: Folder of the reward model that judges or ends episodes.
    """
    robot = config.robot
    arranged = str(robot.name) not in ("twin", "virtual")
    return Conditions(
        task=str(config.task.name),
        robot=str(robot.name),
        arm=arm_of(config).name,
        judge=judge,
        reward=None if reward is None else judge_digest(reward)[:SHOWN_DIGITS],
        cameras=camera_names(config),
        image_size=int(robot.image_size),
        spread=str(robot.get("spread") or ARRANGED),
        randomise=None if arranged else bool(robot.randomise),
        seed=int(config.evaluate.seed),
        max_steps=int(config.task.max_steps),
        description="" if arranged else description_of(config),
        shift=str(robot.get("shift", UNSHIFTED)),
        frame_loss=float(robot.get("frame_loss", 0.0)),
        lab=lab_of(config),
    )


def fits(noted: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether conditions are the wanted ones, as far as an earlier version noted them."""
    asked = _AS_EVER | dict(wanted)
    return completed(_AS_EVER | dict(noted), asked) == asked


@dataclass(frozen=True)
class Evaluation:
    """An evaluation that is done.

    Attributes:
        folder: Of `result.json` and videos.
        place: Whose it is: "pretrained", "<method>/step_<n>" and so on.
        conditions: Plain JSON, as far as they are known.
        result: What `result.json` holds.
    """

    folder: Path
    place: str
    conditions: Mapping[str, Any]
    result: Mapping[str, Any]

    @property
    def cells(self) -> dict[str, Any]:
        """Cells of the result, "forward/stochastic" and so on, in which the outcome of some episode is known."""
        return {name: cell for name, cell in self.result["cells"].items() if cell["episodes"]}

    @property
    def digest(self) -> str:
        """Of the conditions."""
        return short_digest(self.conditions)


def find_evaluation(root: Path, place: str, conditions: Conditions) -> Evaluation | None:
    """The evaluation of a policy under conditions; None when there is none.

    Args:
        root: See `factory.run_folders.evaluations_folder`.
        place: See `factory.run_folders.evaluation_place`.
        conditions: Which figures are asked for.
    """
    wanted = conditions.to_dict()
    for folder in (root / conditions.digest / place, root / place):
        found = _read(folder, place)
        if found is not None and fits(found.conditions, wanted):
            return found
    return None


def evaluations_in(root: Path) -> list[Evaluation]:
    """Everything that lies below `root`."""
    found = []
    for path in sorted(root.rglob(RESULT)):
        parts = path.parent.relative_to(root).parts
        place = "/".join(parts[1:] if _DIGEST.fullmatch(parts[0]) else parts)
        evaluation = _read(path.parent, place)
        if evaluation is not None:
            found.append(evaluation)
    return found


def require_alike(evaluations: Sequence[Evaluation], advice: str) -> None:
    """Refuse evaluations that were not made under the same conditions.

    Raises:
        ConfigError: Naming what differs, and where.
    """
    for other in evaluations[1:]:
        first = evaluations[0]
        found = [
            f"{name} {said(then)} and {said(now)}"
            for name, then, now in differences(first.conditions, other.conditions)
        ]
        if found:
            raise ConfigError(
                f"The evaluations {first.folder} and {other.folder} can't be compared; they were made with "
                f"{', '.join(found)}. {advice}"
            )


def _read(folder: Path, place: str) -> Evaluation | None:
    path = folder / RESULT
    if not path.is_file():
        return None
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        conditions = result["conditions"] if "conditions" in result else _conditions_before(result)
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{path} is no result of an evaluation ({error!r}). Move it away and run `regrasp evaluate` again."
        ) from error
    return Evaluation(folder, place, conditions, result)


def _conditions_before(result: Mapping[str, Any]) -> dict[str, Any]:
    """The conditions of a result that was written before they were noted as such, as far as they are in it."""
    found = {
        "task": result["task"],
        "robot": result.get("robot", "twin"),
        "arm": result.get("arm", DEFAULT_ARM),
        "judge": result["judge"],
        "spread": result["start_spread"],
        "seed": result["seed"],
        "max_steps": result["max_steps"],
    }
    seen = _OBSERVED.match(str(result.get("observations", "")))
    if seen:
        found |= {"cameras": re.findall(r"'([^']+)'", seen[1]), "image_size": int(seen[2])}
    return found
