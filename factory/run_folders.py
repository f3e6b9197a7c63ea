"""Name the folders of a run, and find the policy that a short name means."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from factory.arm import DEFAULT_ARM
from trajectories.errors import CheckpointError


def data_folder(run_dir: Path) -> Path:
    """The store that `collect` fills."""
    return run_dir / "data"


def pretrained_folder(config: DictConfig) -> Path:
    """The policy as `pretrain` leaves it: `pretrained`, or `pretrained_<method>` for a method of the registry."""
    name = "pretrained" if config.method.registry is None else f"pretrained_{config.method.name}"
    return Path(config.run_dir) / name


def start_of(run_dir: Path, method: str) -> Path:
    """The policy that fine-tuning by `method` began with, from what lies in the run's folder."""
    own = run_dir / f"pretrained_{method}"
    return own if own.is_dir() else run_dir / "pretrained"


def reward_folder(run_dir: Path) -> Path:
    """The reward model."""
    return run_dir / "reward"


def tuning_name(config: DictConfig) -> str:
    """Method of fine-tuning, and where it happens unless that is the twin: "regrasp", "regrasp_virtual"."""
    return str(config.method.name) + _elsewhere(config)


def evaluations_folder(config: DictConfig) -> Path:
    """Where evaluations on this robot go: those in the twin and those elsewhere are kept apart."""
    return Path(config.run_dir) / ("evaluations" + _elsewhere(config))


def _elsewhere(config: DictConfig) -> str:
    if str(config.robot.name) == "twin":
        return ""
    arm = str(config.robot.get("model") or DEFAULT_ARM)
    return f"_{config.robot.name}" + ("" if arm == DEFAULT_ARM else f"_{arm}")


def finetune_folder(config: DictConfig) -> Path:
    """Everything that fine-tuning by the settings' method on their robot writes."""
    return tuning_folder(Path(config.run_dir), tuning_name(config))


def tuning_folder(run_dir: Path, tuning: str) -> Path:
    """The same for the fine-tuning called `tuning` (see `tuning_name`)."""
    return run_dir / f"finetune_{tuning}"


def evaluation_folder(root: Path, policy: Path) -> Path:
    """Where below `root` (see `evaluations_folder`) the evaluation of the policy folder `policy` goes.

    `evaluations/pretrained` or `evaluations/pretrained_<method>` for a pre-trained one,
    `evaluations/<method>/step_<n>` for a snapshot of this run, and
    `evaluations/other/<name>` for everything else.
    """
    run_dir, policy = root.parent, policy.resolve()
    if policy.parent == run_dir.resolve() and policy.name.startswith("pretrained"):
        return root / policy.name
    run = policy.parent.parent
    if policy.parent.name == "snapshots" and run.parent == run_dir.resolve():
        return root / run.name.removeprefix("finetune_") / policy.name
    return root / "other" / policy.name


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
                "first, or evaluate the pre-trained policy with `checkpoint=pretrained`."
            )
        return found[-1][1]
    folder = Path(name)
    if not folder.is_dir():
        raise CheckpointError(
            f"There is no policy folder {folder}. Expected `pretrained`, `latest` or the path of a folder."
        )
    return folder
