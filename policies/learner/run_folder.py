"""The files of a fine-tuning run.

episodes/               every episode that was acknowledged, durable before the receipt
learner.safetensors     agent, draws of the replay, counters: the newest checkpoint
replay/                 the replay's content, so that a restart needs not encode episodes again; may be deleted
published.json          newest published version, so that versions never repeat after a kill
snapshots/step_<n>/     policy folders along the run, each with snapshot.json
metrics/                metrics.jsonl and TensorBoard files
learner.json            where the run stands and what every actor told last, for `regrasp watch` and the next start
conditions.json         what the run learns with, with its digest; changes that a person accepted, too
"""

from __future__ import annotations

import json
from pathlib import Path

from trajectories.durable import replace_file
from trajectories.errors import CheckpointError

EPISODES = "episodes"
CHECKPOINT = "learner.safetensors"
REPLAY = "replay"
PUBLISHED = "published.json"
SNAPSHOTS = "snapshots"
SNAPSHOT_FILE = "snapshot.json"
METRICS = "metrics"
STATUS = "learner.json"
CONDITIONS = "conditions.json"


class RunFolder:
    """Paths of a run and the two small JSON files."""

    def __init__(self, path: Path) -> None:
        """Create the folder if needed."""
        self.path = Path(path)
        self.path.mkdir(parents=True, exist_ok=True)
        self.episodes = self.path / EPISODES
        self.checkpoint = self.path / CHECKPOINT
        self.replay = self.path / REPLAY
        self.metrics = self.path / METRICS
        self.status = self.path / STATUS

    def snapshot(self, steps: int) -> Path:
        """Folder of the policy after `steps` environment steps."""
        return self.path / SNAPSHOTS / f"step_{steps}"

    def published(self) -> int:
        """Newest version that was ever published; 0 when none was.

        Raises:
            CheckpointError: The file is damaged.
        """
        path = self.path / PUBLISHED
        if not path.is_file():
            return 0
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["version"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f'{path} is damaged ({error}). Write {{"version": N}} into it with N above every policy version '
                "that the run's episodes name (`regrasp inspect` lists them)."
            ) from error

    def note_published(self, version: int) -> None:
        """Remember a version before anybody gets it."""
        write_json(self.path / PUBLISHED, {"version": version})


def write_json(path: Path, content: dict[str, object]) -> None:
    """Replace a small file in one step.

    Raises:
        CheckpointError: The disk refuses.
    """
    try:
        replace_file(path, json.dumps(content).encode() + b"\n")
    except OSError as error:
        raise CheckpointError(f"{path} can't be written: {error}. Make room or check the permissions.") from error
