"""What people said about a session that has not reached its episodes: it waits in the outboxes of its actors."""

from __future__ import annotations

from pathlib import Path

from factory.run_folders import outboxes
from trajectories.verdicts import VerdictBook


def unsent_verdicts(episodes: Path) -> str:
    """Tell a person of verdicts that wait in the outboxes on this computer, and what to do; empty where none waits.

    Args:
        episodes: The learner's store in a folder of fine-tuning.

    Raises:
        StoreError: An outbox can't be listed.
    """
    waiting = [(book.folder, len(book)) for book in map(VerdictBook, outboxes(episodes.parent)) if len(book)]
    if not waiting:
        return ""
    where = ", ".join(f"{count} in {folder}" for folder, count in waiting)
    return (
        f"Some of what people said is not with the episodes in {episodes} and doesn't count yet: {where}. An actor "
        "that runs hands it over after its episode; else run the same `regrasp finetune` again (on two machines: "
        "learner and actor), also where it had finished."
    )
