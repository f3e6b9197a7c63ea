"""`regrasp report`: the HTML report of a run, one file that needs nothing else."""

from __future__ import annotations

import itertools
import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from markupsafe import Markup
from omegaconf import DictConfig

from commands.demo.stages import Stages
from commands.evaluate.conditions import PREDICATE, Evaluation, conditions_of, find_evaluation
from commands.evaluate.verdicts import PersonJudge, RewardJudge
from commands.report.charts import success_chart
from commands.report.data import CurvePoint, Stream, curve, figures_of_judge, open_stream
from commands.report.sections import (
    cards,
    cells_of,
    faults,
    headline,
    in_parts,
    minutes_of_training,
    persons_words,
    resets,
    reward_table,
    rows_of,
    videos,
)
from commands.report.templates import page_template
from factory.judges import judge_in_use
from factory.policy import KEYPOINTS
from factory.run_folders import (
    data_folder,
    elsewhere,
    evaluation_place,
    evaluations_folder,
    finetune_folder,
    pretrained_folder,
    reward_folder,
    tuning_name,
)
from factory.spec import spec_of
from policies.learner.run_folder import CONDITIONS, EPISODES
from policies.perception.loading import load_perception
from policies.perception.protocol import Perception
from trajectories.conditions import differences, read_conditions, said
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError
from trajectories.kinds import referee_of
from trajectories.store import TrajectoryStore


def run(config: DictConfig) -> None:
    """Write the report of a fine-tuning that is over or under way, and print its path."""
    seconds = Stages(Path(config.run_dir)).of(str(config.method.name)) if str(config.robot.name) == "twin" else {}
    command = shlex.join(["regrasp", "report", *HydraConfig.get().overrides.task])
    path = write(config, Path(config.run_dir), seconds, command, finetune_folder(config) / CONDITIONS)
    print(f"Report: {path.resolve()}")


def write(config: DictConfig, run_dir: Path, seconds: Mapping[str, float], command: str, settings: Path) -> Path:
    """Gather what the run left, write the report (see `path_of`) and return its path.

    Args:
        config: Settings of the run.
        run_dir: Its folder.
        seconds: Stage -> how long it took; empty where that isn't known.
        command: That the person gave.
        settings: File of all settings.

    Raises:
        CheckpointError: Fine-tuning has left no episode.
    """
    folder = finetune_folder(config)
    if not (folder / EPISODES).is_dir():
        raise CheckpointError(
            f"Fine-tuning has left no episode in {folder}. Run `regrasp finetune` with the same settings first."
        )
    stream, evaluated = open_stream(folder / EPISODES, spec_of(config)), _evaluated(config)
    before, after = cells_of(evaluated.start), cells_of(evaluated.end)
    page = page_template("report").render(
        title=f"{config.task.name.replace('_', ' ')}: {headline(before, after, stream)}",
        task=config.task.name,
        robot=config.robot.name,
        seed=config.seed,
        profile=config.profile,
        method=config.method.name,
        date=time.strftime("%Y-%m-%d %H:%M"),
        cards=cards(before, after, stream, seconds),
        judge=_judge(config),
        stages=[{"name": name, "seconds": f"{value:.0f}"} for name, value in seconds.items()],
        command=command,
        settings=settings,
        **_of_stream(stream, run_dir),
        **_of_evaluations(config, evaluated, stream),
    )
    path = path_of(config)
    replace_file(path, page.encode())
    return path


def _of_stream(stream: Stream, run_dir: Path) -> dict[str, Any]:
    """What the page shows of fine-tuning's own episodes and of the judge."""
    reward, passed_over = figures_of_judge(run_dir)
    return {
        "parts": in_parts(stream),
        "stream_episodes": len(stream.judged),
        "refereed": bool(stream.refereed.any()),
        "confusion": stream.confusion,
        "reward_table": reward_table(reward),
        "passed_over": passed_over,
        "persons_words": persons_words(stream),
        "resets": resets(stream),
        "faults": faults(stream),
        "minutes": f"{minutes_of_training(stream):.1f}",
    }


def _of_evaluations(config: DictConfig, evaluated: _Evaluated, stream: Stream) -> dict[str, Any]:
    """What the page shows of evaluations, and of what the policy saw in them."""
    start, end = evaluated.start, evaluated.end
    before, learned, found = cells_of(start), read_conditions(finetune_folder(config) / CONDITIONS), end or start
    points = [*([CurvePoint(0, before)] if start else []), *evaluated.points]
    looks = evaluated.conditions if found is None else found.conditions
    return {
        "rows": rows_of(before, cells_of(end)),
        "missing": _missing(evaluated),
        "chart": Markup(success_chart(stream, points)),
        "judged": "" if found is None else judged_by(found, data_folder(Path(config.run_dir)), config),
        "observations": seen(looks, load_perception(pretrained_folder(config)), learned),
        "changes": changes_of(learned),
        "videos": videos(start, "before") + videos(end, "after"),
    }


@dataclass(frozen=True)
class _Evaluated:
    """The evaluations of a run under the conditions of the settings, as far as there are any.

    Attributes:
        conditions: Plain JSON.
        start: Of the policy that fine-tuning began with.
        points: Of snapshots, by steps.
        end: Of the last one of these.
    """

    conditions: Mapping[str, Any]
    start: Evaluation | None
    points: list[CurvePoint]
    end: Evaluation | None


def _evaluated(config: DictConfig) -> _Evaluated:
    """What was evaluated under the settings' conditions; `evaluate.judge=auto` is the predicate or else a person."""
    root, tuning, run_dir = evaluations_folder(config), tuning_name(config), Path(config.run_dir)
    wanted = str(config.evaluate.judge)
    names = {"auto": (PREDICATE, PersonJudge.name), "reward": (RewardJudge.name,), "person": (PersonJudge.name,)}
    found = []
    for judge in names.get(wanted, (PREDICATE,)):
        reward = judge_in_use(run_dir) if judge != PREDICATE and reward_folder(run_dir).is_dir() else None
        conditions = conditions_of(config, judge, reward)
        start = find_evaluation(root, evaluation_place(run_dir, pretrained_folder(config)), conditions)
        points = curve(root, tuning, conditions)
        end = find_evaluation(root, f"{tuning}/step_{points[-1].steps}", conditions) if points else None
        found.append(_Evaluated(conditions.to_dict(), start, points, end))
    return next((one for one in found if one.start or one.points), found[0])


def _missing(evaluated: _Evaluated) -> str:
    """What was not evaluated, and the command that does it; empty where nothing is missing."""
    commands = []
    if evaluated.start is None:
        commands.append("`regrasp evaluate checkpoint=pretrained` (before fine-tuning)")
    if evaluated.end is None:
        commands.append("`regrasp evaluate` (after it)")
    if not commands:
        return ""
    return (
        f"Not evaluated yet: {' and '.join(commands)}, with the same settings as for this report, which shows it "
        "when it is written again."
    )


def path_of(config: DictConfig) -> Path:
    """Where the report lies: `report.html`; other methods than `regrasp` and robots than the twin are in its name."""
    method = "" if config.method.name == "regrasp" else f"_{config.method.name}"
    return Path(config.run_dir) / f"report{method}{elsewhere(config)}.html"


def judged_by(evaluation: Evaluation, data: Path, config: DictConfig) -> str:
    """Who judged the evaluations, and what else that judge's word reached.

    Args:
        evaluation: One of them.
        data: The store of recorded episodes.
        config: Settings.
    """
    if evaluation.conditions["judge"] != PREDICATE:
        return f"Judged by: {evaluation.conditions['judge']}."
    if not data.is_dir():  # pre-trained on stores of other runs
        return "Judged by the simulation's predicate. Fine-tuning was rewarded by the reward model alone."
    with TrajectoryStore(data, read_only=True) as store:
        marked = sum(referee_of(info) is not None for info in store.infos())
    text = (
        f"Judged by the simulation's predicate. It also marked {marked} recorded episodes as successes and failures, "
        "as a person would: pre-training and the reward model learned from these. Fine-tuning was rewarded by the "
        "reward model alone."
    )
    if config.reward.get("backbone") == "embedded":
        text += " The embedded backbone was trained on the twin's renders, labelled by the simulator."
    return text


def seen(looks: Mapping[str, Any], perception: Perception, learned: Sequence[Mapping[str, Any]]) -> str:
    """What the policy saw, and who trained what it sees through.

    Args:
        looks: Conditions of an evaluation of the policy, or of the settings.
        perception: What it was pre-trained with.
        learned: What fine-tuning learned with, see `read_conditions`.
    """
    size, cameras = looks["image_size"], ", ".join(looks["cameras"])
    text = f"Cameras ({cameras}) at {size}x{size}, proprioception, instruction; no privileged state. The image passes "
    kind, network = perception.kind, "a small network (keypoints) that was trained on labels from proprioception"
    if kind == KEYPOINTS:
        return f"{text}{network} and then frozen."
    if perception.encoder is not None and perception.encoder.config.keypoints:
        text += f"{network}, then frozen, and beside it "
    if perception.trained is None:
        return f"{text}an encoder ({kind}) that was trained before the critics were, or not at all, and then frozen."
    text += f"an encoder ({kind}) that was trained along with the policy in pre-training"
    if not learned:
        return f"{text}."
    frozen = all(conditions["freeze_encoder"] for conditions in learned)
    return f"{text} and {'stayed as it was' if frozen else 'went on being trained'} in fine-tuning."


def changes_of(learned: Sequence[Mapping[str, Any]]) -> str:
    """Settings that a person changed while fine-tuning went on; empty without any."""
    changes = [
        f"{name} from {said(then)} to {said(now)}"
        for before, after in itertools.pairwise(learned)
        for name, then, now in differences(before, after)
    ]
    return f"While it went on, a person changed {', '.join(changes)}." if changes else ""


def _judge(config: DictConfig) -> str:
    kind = config.reward.get("kind")
    if kind is not None:
        return f"a reward model of kind {kind}"
    return f"the vision-language success classifier (backbone: {config.reward.backbone})"
