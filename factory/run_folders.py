"""Name the folders of a run, and find the policy that a short name means."""

from __future__ import annotations

import hashlib
from pathlib import Path

from omegaconf import DictConfig

from factory.arm import DEFAULT_ARM
from robot.fleet import AUTO_NAME, actor_name
from trajectories.errors import CheckpointError

OUTBOX = "outbox"
"""Of an actor, in its folder: what the learner hasn't acknowledged."""


def data_folder(run_dir: Path) -> Path:
    """The store that `collect` fills."""
    return run_dir / "data"


def pretrained_folder(config: DictConfig) -> Path:
    """The policy as `pretrain` leaves it: `pretrained`, or `pretrained_<method>` for a method of the registry."""
    name = "pretrained" if config.method.registry is None else f"pretrained_{config.method.name}"
    return Path(config.run_dir) / name


def pretrained_beside(folder: Path) -> list[Path]:
    """The policies of the run's other methods, as `pretrain` left or is leaving them."""
    return sorted(path for path in folder.parent.glob("pretrained*") if path.is_dir() and path != folder)


def start_of(run_dir: Path, tuning: str, elsewhere: str = "") -> Path:
    """The policy that a fine-tuning began with, from what lies in the run's folder.

    Args:
        run_dir: The run's folder.
        tuning: Its name, see `tuning_name`.
        elsewhere: What the name ends with where it was not in the twin, see `elsewhere`.
    """
    own = run_dir / f"pretrained_{tuning.removesuffix(elsewhere)}"
    return own if own.is_dir() else run_dir / "pretrained"


REWARD = "reward"
REWARD_BEFORE = ".reward.before"
"""The reward model of before, for the moment in which a new one takes its place (`factory.judges.keep_trained`)."""


def reward_folder(run_dir: Path) -> Path:
    """The reward model; the one before it, where a kill came between the two."""
    folder, before = run_dir / REWARD, run_dir / REWARD_BEFORE
    return before if before.is_dir() and not folder.is_dir() else folder


def tuning_name(config: DictConfig) -> str:
    """Method of fine-tuning, and where it happens unless that is the twin: "regrasp", "regrasp_virtual"."""
    return str(config.method.name) + elsewhere(config)


def evaluations_folder(config: DictConfig) -> Path:
    """Where evaluations on this robot go: those in the twin and those elsewhere are kept apart."""
    return Path(config.run_dir) / ("evaluations" + elsewhere(config))


def elsewhere(config: DictConfig) -> str:
    """What names of folders end with where the robot is not the twin, e.g. "_widowx"; empty for the twin."""
    if str(config.robot.name) == "twin":
        return ""
    arm = str(config.robot.get("model") or DEFAULT_ARM)
    return f"_{config.robot.name}" + ("" if arm == DEFAULT_ARM else f"_{arm}")


def finetune_folder(config: DictConfig) -> Path:
    """Everything that fine-tuning by the settings' method on their robot writes."""
    return tuning_folder(Path(config.run_dir), tuning_name(config))


def actor_folder(config: DictConfig) -> Path:
    """What one actor writes: the folder of fine-tuning, or one of its own in it where the settings give it a name.

    So several actors of one run may have one computer.
    """
    folder, name = finetune_folder(config), actor_name(str(config.actor.name))
    return folder if str(config.actor.name) == AUTO_NAME else folder / f"actor_{name}"


def outboxes(folder: Path) -> list[Path]:
    """Those that actors have left on this computer in the folder of a fine-tuning, in order."""
    return [path for path in (folder / OUTBOX, *sorted(folder.glob(f"actor_*/{OUTBOX}"))) if path.is_dir()]


def tuning_folder(run_dir: Path, tuning: str) -> Path:
    """The same for the fine-tuning called `tuning` (see `tuning_name`)."""
    return run_dir / f"finetune_{tuning}"


def evaluation_place(run_dir: Path, policy: Path) -> str:
    """Where below the folder of its conditions the evaluation of the policy folder `policy` goes.

    `pretrained` or `pretrained_<method>` for a pre-trained one, `<method>/step_<n>` for a snapshot of this run, and
    `other/<name>_<digest of its path>` for everything else.
    """
    policy = policy.resolve()
    if policy.parent == run_dir.resolve() and policy.name.startswith("pretrained"):
        return policy.name
    run = policy.parent.parent
    if policy.parent.name == "snapshots" and run.parent == run_dir.resolve():
        return f"{run.name.removeprefix('finetune_')}/{policy.name}"
    return f"other/{policy.name}_{hashlib.sha256(str(policy).encode()).hexdigest()[:8]}"


def snapshots(folder: Path) -> list[tuple[int, Path]]:
    """The policies that fine-tuning in `folder` left, (environment steps, folder), oldest first."""
    found = [
        (int(path.name.removeprefix("step_")), path) for path in (folder / "snapshots").glob("step_*") if path.is_dir()
    ]
    return sorted(found)


def find_policy(config: DictConfig, name: str) -> Path:
    """The policy folder that `name` means.

    Args:
        config: Settings, whose run folder and method count.
        name: "pretrained", "latest" (the newest snapshot of this method's fine-tuning) or a folder's path.

    Raises:
        CheckpointError: When there is none, with what to run to get one.
    """
    if name == "pretrained":
        folder = pretrained_folder(config)
        if (folder / "training").is_dir() and not (folder / "actor.safetensors").is_file():
            raise CheckpointError(
                f"Pre-training in {folder} is not finished: `regrasp pretrain method={config.method.name}`, with the "
                "same settings as here, goes on with it."
            )
        if not folder.is_dir():
            raise CheckpointError(
                f"There is no pre-trained policy in {folder}. `regrasp demo` makes one with all that comes before and "
                f"after it; `regrasp collect` and `regrasp pretrain method={config.method.name}`, with the same "
                "settings as here, make just that."
            )
        return folder
    if name == "latest":
        folder = finetune_folder(config)
        found = snapshots(folder)
        if not found:
            raise CheckpointError(
                f"Fine-tuning has left no policy in {folder} yet. Run `regrasp finetune` "
                "with the same settings first, or evaluate the pre-trained policy with `checkpoint=pretrained`."
            )
        return found[-1][1]
    folder = Path(name)
    if not folder.is_dir():
        raise CheckpointError(
            f"There is no policy folder {folder}. Expected `pretrained`, `latest` or the path of a folder."
        )
    return folder
