"""A policy learns the same from a store in a bucket as from the same store on a disk, to the bit."""

import torch
from helpers.blob_world import fake_text
from helpers.small_policies import RED_WORDINGS

from policies.learner.pretrain import pretrain
from trajectories.s3.path import S3Path
from trajectories.s3.upload import upload
from trajectories.store import TrajectoryStore


def test_a_policy_from_a_bucket_is_the_policy_from_the_disk(s3, demo_store, pretrained, small_pretraining, tmp_path):
    address = S3Path.of(f"s3://lab/{tmp_path.name}/demos")
    disk = TrajectoryStore(demo_store, read_only=True)
    upload(disk, disk.ids(), address)
    torch.set_num_threads(1)
    stores = [TrajectoryStore(address, read_only=True)]
    pretrain(stores, "red_disc", RED_WORDINGS, fake_text, "fake", small_pretraining, tmp_path / "policy", seed=3)
    for name in ("actor.safetensors", "features.safetensors", "agent.safetensors"):
        assert (tmp_path / "policy" / name).read_bytes() == (pretrained / name).read_bytes()
