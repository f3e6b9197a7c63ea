"""`regrasp review`: a page that plays judged episodes; two keys agree with the judge or overturn it."""

from __future__ import annotations

import threading
from pathlib import Path

from omegaconf import DictConfig
from tqdm import tqdm

from commands.review.episodes import ReviewedStore
from commands.review.server import ReviewServer
from factory.link import certificates_of
from factory.reward import decision_of
from factory.run_folders import finetune_folder
from factory.unsent import unsent_verdicts
from policies.learner.run_folder import EPISODES
from robot.link.certificates import fingerprint
from trajectories.errors import StoreError
from trajectories.numbers import between


def run(config: DictConfig) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        StoreError: There is nothing to review yet.
    """
    path = finetune_folder(config) / EPISODES if config.store is None else Path(config.store)
    between("review.port", config.review.port, 0, 65535)
    if not path.is_dir():
        raise StoreError(
            f"There is nothing to review in {path}: fine-tuning has left no episode there. Give the settings of a run "
            "that has begun (on two machines: where its learner is), or store=FOLDER."
        )
    threshold, frames = decision_of(config)
    reviewed = ReviewedStore(path, threshold, frames, ask_referee=bool(config.review.ask_referee))
    with tqdm(desc="reading", unit="episode", dynamic_ncols=True) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total
            bar.update(done - bar.n)

        reviewed.refresh(show)
    if waiting := unsent_verdicts(path):
        print(waiting)
    tls = certificates_of(config)
    with ReviewServer(str(config.review.host), int(config.review.port), reviewed, tls) as server:
        threading.Thread(target=server.serve_forever, name="review", daemon=True).start()
        try:
            print(f"Reviewing {path} at {server.url} (Ctrl-C ends the page)", flush=True)
            print("Who has this address may say what was done: give it to nobody else.", flush=True)
            if tls is not None and server.scheme == "https":
                print(f"Fingerprint of its certificate (SHA-256): {fingerprint(tls.certificate)}", flush=True)
            threading.Event().wait()
        finally:
            server.shutdown()
