"""`regrasp export to=s3://…`: a trajectory store into a bucket, as it is."""

from __future__ import annotations

from collections.abc import Sequence

from omegaconf import DictConfig
from tqdm import tqdm

from factory.data import ROBOT_FILE
from trajectories.errors import ConfigError
from trajectories.s3.path import S3Path
from trajectories.s3.upload import upload
from trajectories.store import TrajectoryStore


def copy_store(config: DictConfig, store: TrajectoryStore, ids: Sequence[str], target: S3Path) -> None:
    """Copy the chosen episodes, what people said about them, and which robot recorded them; goes on where it stopped.

    Raises:
        ConfigError: A format is asked for: a bucket takes a store as it is.
        SpecMismatchError, StoreError: See `upload`.
    """
    if config.format is not None or config.lossless:
        raise ConfigError(
            f"{target} takes a trajectory store as it is, without format and lossless. For format={config.format} give "
            "a folder, and copy that to the bucket with the tools that you have."
        )
    with tqdm(total=len(ids), desc=f"copying to {target}", unit="episode", dynamic_ncols=True) as bar:
        done = upload(store, ids, target, (ROBOT_FILE,), lambda now, _: bar.update(now - bar.n))
    said = f", and {done.verdicts} things that people said about them" if done.verdicts else ""
    there = f"; {done.there} were there already" if done.there else ""
    print(f"{done.written} episodes were copied to {target}{said}{there}.")
