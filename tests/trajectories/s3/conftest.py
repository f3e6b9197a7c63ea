"""A store on the disk and the same store in a bucket."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from helpers.s3_server import BUCKET
from helpers.trajectory_samples import SPEC, sample_episode

from trajectories.layout import HEADER
from trajectories.s3.path import S3Path
from trajectories.store import TrajectoryStore


@dataclass(frozen=True)
class Twice:
    """Attributes: `local`, a store's folder; `address`, of its copy; `objects`, the copy's objects as files."""

    local: Path
    address: S3Path
    objects: Path

    def copies(self, name: str = "*") -> list[Path]:
        """Files of the copies that were kept on the disk."""
        return sorted(path for path in (self.address.copies.folder / "episodes").glob(f"*/{name}") if path.is_file())


@pytest.fixture(scope="session")
def three_episodes(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recorded") / "store"
    with TrajectoryStore(path, SPEC) as store:
        for number in (1, 2, 3):
            store.commit(sample_episode(number))
    return path


@pytest.fixture
def twice(s3, three_episodes, tmp_path) -> Twice:
    objects = s3.root / BUCKET / tmp_path.name / "demos"
    shutil.copytree(three_episodes / "episodes", objects / "episodes")
    shutil.copy(three_episodes / HEADER, objects)
    return Twice(three_episodes, S3Path.of(f"s3://{BUCKET}/{tmp_path.name}/demos"), objects)
