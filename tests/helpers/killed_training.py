"""Trainings of a judge that die by SIGKILL. Run as a program: `killed_training.py FOLDER`.

Run `FOLDER/n` has a judge, one that a session trained and that is in use, figures and a log; the training of another
one dies at its n-th call that changes the disk. The last one ends.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from factory.judges import keep_retrained, keep_trained, put_in_use
from helpers.killed_writer import CALLS, die_at_call
from trajectories.durable import replace_file

PARTS = ("kind.json", "reward.json", "training.json")


def trainer(words: str) -> Callable[[Path], str]:
    """Writes a judge of three files, each of which says whose it is, and a line into its log."""

    def train(folder: Path) -> str:
        with (folder / "calls.jsonl").open("a") as log:
            log.write(f"{words}\n")
        for name in PARTS:
            replace_file(folder / name, words.encode())
        return words

    return train


def run_folder(run: Path) -> None:
    """A judge of three files and one more, figures about it, and one of a session, which is in use."""
    keep_trained(run, lambda folder: trainer("first")(folder) + str((folder / "home.npy").write_text("first")))
    replace_file(run / "reward" / "evaluation.json", b"figures")
    put_in_use(run, keep_retrained(run, lambda folder: {"adopted": trainer("session")(folder)}))


def main(root: Path) -> None:
    os.fsync = lambda descriptor: None  # a kill is no power cut
    for number in range(200):
        run = root / str(number)
        run_folder(run)
        child = os.fork()
        if child == 0:
            die_at_call(number, (*CALLS, "link", "unlink", "rmdir"))
            keep_trained(run, trainer("second"))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            return


if __name__ == "__main__":
    main(Path(sys.argv[1]))
