"""Writes the HTML report of a run: one file that needs nothing else."""

from __future__ import annotations

import base64
import itertools
import json
import time
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, select_autoescape
from markupsafe import Markup
from omegaconf import DictConfig

from commands.evaluate.conditions import PREDICATE, Evaluation, conditions_of, find_evaluation
from commands.report.charts import success_chart
from commands.report.data import CurvePoint, Stream, curve, open_stream
from commands.report.statistics import format_rate
from factory.policy import KEYPOINTS
from factory.run_folders import data_folder, evaluation_place, evaluations_folder, finetune_folder, pretrained_folder
from factory.spec import spec_of
from policies.learner.run_folder import CONDITIONS
from policies.perception.loading import load_perception
from trajectories.conditions import differences, read_conditions
from trajectories.durable import replace_file
from trajectories.errors import CheckpointError
from trajectories.kinds import AFTERMATH
from trajectories.store import TrajectoryStore


def write(config: DictConfig, run_dir: Path, seconds: dict[str, float], command: str, settings: Path) -> Path:
    """Gather what the run left, write `report.html` and return its path.

    Args:
        config: Settings of the run.
        run_dir: Its folder.
        seconds: Stage -> how long it took.
        command: That the person gave.
        settings: File of all settings.
    """
    root, conditions = evaluations_folder(config), conditions_of(config, PREDICATE)
    start = find_evaluation(root, evaluation_place(run_dir, pretrained_folder(config)), conditions)
    points = curve(root, str(config.method.name), conditions)
    end = find_evaluation(root, f"{config.method.name}/step_{points[-1].steps}", conditions) if points else None
    if start is None or end is None:
        raise CheckpointError(
            f"{root} lacks the evaluations before and after fine-tuning with {config.method.name} under these "
            f"conditions ({conditions.digest}). Run `regrasp demo`, which makes both."
        )
    before, after = start.result, end.result
    learned = read_conditions(finetune_folder(config) / CONDITIONS)
    stream = open_stream(finetune_folder(config) / "episodes", spec_of(config))
    reward_path = run_dir / "reward" / "evaluation.json"
    reward = json.loads(reward_path.read_text(encoding="utf-8")) if reward_path.exists() else None
    page = _template().render(
        title=f"{config.task.name.replace('_', ' ')}: {_headline(before, after)}",
        task=config.task.name,
        seed=config.seed,
        profile=config.profile,
        method=config.method.name,
        date=time.strftime("%Y-%m-%d %H:%M"),
        cards=_cards(before, after, stream, seconds),
        rows=_rows(before["cells"], after["cells"]),
        chart=Markup(success_chart(stream, [CurvePoint(0, before["cells"]), *points])),
        judged=judged_by(end, data_folder(run_dir), config),
        judge=_judge(config),
        stream_episodes=len(stream.judged),
        confusion=stream.confusion,
        reward_table=_reward_table(reward),
        resets=_resets(stream),
        observations=seen(end, load_perception(pretrained_folder(config)).kind, learned),
        changes=changes_of(learned),
        videos=_videos(start.folder, before, "before") + _videos(end.folder, after, "after"),
        stages=[{"name": name, "seconds": f"{value:.0f}"} for name, value in seconds.items()],
        command=command,
        settings=settings,
    )
    path = run_dir / ("report.html" if config.method.name == "regrasp" else f"report_{config.method.name}.html")
    replace_file(path, page.encode())
    return path


def judged_by(evaluation: Evaluation, data: Path, config: DictConfig) -> str:
    """Who judged the evaluations, and what else that judge's word reached.

    Args:
        evaluation: One of them.
        data: The store of recorded episodes.
        config: Settings.
    """
    if evaluation.conditions["judge"] != PREDICATE:
        return f"Judged by: {evaluation.conditions['judge']}."
    with TrajectoryStore(data, read_only=True) as store:
        marked = sum((info.metadata.get("evaluation") or {}).get("success") is not None for info in store.infos())
    text = (
        f"Judged by the twin's physics predicate. It also marked {marked} recorded episodes as successes and failures, "
        "as a person would: pre-training and the reward model learned from these. Fine-tuning was rewarded by the "
        "reward model alone."
    )
    if config.reward.get("backbone") == "embedded":
        text += " The embedded backbone was trained on the twin's renders, labelled by the simulator."
    return text


def seen(evaluation: Evaluation, kind: str, learned: Sequence[Mapping[str, Any]]) -> str:
    """What the policy saw, and who trained what it sees through.

    Args:
        evaluation: Of the policy.
        kind: Of its perception, see `policies.perception.protocol.Perception.kind`.
        learned: What fine-tuning learned with, see `read_conditions`.
    """
    size, cameras = evaluation.conditions["image_size"], ", ".join(evaluation.conditions["cameras"])
    text = f"Cameras ({cameras}) at {size}x{size}, proprioception, instruction; no privileged state. The image passes "
    if kind == KEYPOINTS:
        return f"{text}a small network ({kind}) that was trained on labels from proprioception and then frozen."
    text += f"an encoder ({kind}) that was trained along with the policy in pre-training"
    if not learned:
        return f"{text}."
    frozen = all(conditions["freeze_encoder"] for conditions in learned)
    return f"{text} and {'stayed as it was' if frozen else 'went on being trained'} in fine-tuning."


def changes_of(learned: Sequence[Mapping[str, Any]]) -> str:
    """Settings that a person changed while fine-tuning went on; empty without any."""
    changes = [
        f"{name} from {then!r} to {now!r}"
        for before, after in itertools.pairwise(learned)
        for name, then, now in differences(before, after)
    ]
    return f"While it went on, a person changed {', '.join(changes)}." if changes else ""


def _judge(config: DictConfig) -> str:
    kind = config.reward.get("kind")
    if kind is not None:
        return f"a reward model of kind {kind}"
    return f"the vision-language success classifier (backbone: {config.reward.backbone})"


def _template() -> Any:
    source = (files("commands") / "templates" / "report.html.j2").read_text(encoding="utf-8")
    return Environment(autoescape=select_autoescape(default=True, default_for_string=True)).from_string(source)


def _cell(result: Mapping[str, Any], name: str) -> str:
    cell = result["cells"].get(name)
    return "-" if cell is None else f"{100 * cell['rate']:.0f} %"


def _headline(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    name = "forward/stochastic" if "forward/stochastic" in after["cells"] else next(iter(after["cells"]))
    return f"{_cell(before, name)} → {_cell(after, name)} ({name.replace('/', ', ')})"


def _cards(
    before: Mapping[str, Any], after: Mapping[str, Any], stream: Stream, seconds: dict[str, float]
) -> list[dict[str, str]]:
    cards = [
        {"label": f"{name.replace('/', ', ')}", "value": f"{_cell(before, name)} → {_cell(after, name)}", "note": ""}
        for name in ("forward/stochastic", "backward/stochastic")
        if name in after["cells"]
    ]
    wrong = stream.confusion["false_positive"]
    steps = int(stream.steps[-1]) if len(stream.steps) else 0
    return [
        *cards,
        {"label": "resets needed", "value": str(int(stream.helped.sum())), "note": f"in {steps} steps"},
        {"label": "false positives", "value": str(wrong), "note": f"in {len(stream.judged)} training episodes"},
        {"label": "everything took", "value": f"{sum(seconds.values()) / 60:.1f} min", "note": "on this machine"},
    ]


def _rows(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[dict[str, str]]:
    rows = []
    for name, cell in after.items():
        start = before.get(name)
        rows.append(
            {
                "name": name.replace("/", ", "),
                "before": format_rate(start["successes"], start["episodes"]) if start else "-",
                "after": format_rate(cell["successes"], cell["episodes"]),
                "change": f"{100 * (cell['rate'] - start['rate']):+.0f} points" if start else "-",
                "steps": f"{start['mean_steps']:.0f} → {cell['mean_steps']:.0f}" if start else "-",
            }
        )
    return rows


def _reward_table(reward: dict[str, Any] | None) -> list[list[str]]:
    if reward is None:
        return []
    frames, whole = reward["frames"], reward["whole_episodes"]
    row = frames["all"]
    table = [
        ["figure", "value"],
        ["balanced accuracy of frames", f"{row['balanced_accuracy_at_threshold']:.3f}"],
        ["AUROC", f"{row['auroc']:.3f}"],
        ["false positives at 95 % recall", f"{100 * row['false_positives_at_95_recall']:.1f} %"],
        [
            "calibration error before → after",
            f"{row['calibration_error_before']:.3f} → {row['calibration_error_after']:.3f}",
        ],
        [f"successes found, of {whole['successes']} episodes", _percent(whole["found"])],
        [f"failures stopped wrongly, of {whole['failures']} episodes", _percent(whole["wrong_stops"])],
    ]
    for kind, entry in frames["by_kind"].items():
        if kind == AFTERMATH:
            table.append(["done tasks recognised from the arm's home pose", _percent(entry["found"])])
        elif kind != "success":
            table.append([f"frames above the threshold, {kind}", _percent(entry["rate_above_threshold"])])
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"


def _resets(stream: Stream) -> str:
    reasons: dict[str, int] = {}
    for reason in stream.help_reasons:
        if reason:
            reasons[reason] = reasons.get(reason, 0) + 1
    if not reasons:
        return "None: the robot undid its own work all the way."
    listed = ", ".join(f"{reason}: {count}" for reason, count in sorted(reasons.items()))
    return (
        f"{sum(reasons.values())} in {len(stream.judged)} episodes ({listed}). Evaluations reset the scene each time."
    )


def _videos(folder: Path, result: Mapping[str, Any], when: str) -> list[dict[str, Any]]:
    films = [
        {
            "data": base64.b64encode((folder / name).read_bytes()).decode(),
            "caption": name.removesuffix(".mp4").replace("_", " "),
        }
        for name in result["videos"]
    ]
    return [{"title": f"{when} fine-tuning", "films": films}] if films else []
