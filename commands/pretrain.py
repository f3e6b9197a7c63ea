"""`regrasp pretrain`: what the policy sees through, and the multi-task policy, from the store of `collect`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from tqdm import tqdm

from factory.calibration import mark_in_use
from factory.policy import agent_config, encoder_config, feeding_of
from factory.reward import backbone_of
from factory.run_folders import data_folder, pretrained_folder
from factory.spec import camera_names, device_of, spec_of
from factory.task import instructions_of
from policies.learner.pretrain import PretrainConfig, pretrain
from policies.perception.keypoint_training import KeypointConfig
from trajectories.store import TrajectoryStore


class Bars:
    """A progress bar for each stage, one after the other."""

    def __init__(self) -> None:
        self._bar: tqdm[Any] | None = None
        self._stage = ""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` updates of `stage` are over."""
        if stage != self._stage or self._bar is None:
            self.close()
            self._stage = stage
            self._bar = tqdm(total=total, desc=f"training {stage}", unit="update", dynamic_ncols=True)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """End the last bar."""
        if self._bar is not None:
            self._bar.close()


def run(config: DictConfig) -> None:
    """Train and save."""
    import torch

    from policies.agent.allocator import keep_freed_memory

    torch.set_num_threads(int(config.workers))
    keep_freed_memory()
    run_dir = Path(config.run_dir)
    backbone, encoder = backbone_of(config), encoder_config(config)
    feeding = feeding_of(config)
    if not feeding.pretrains:
        print(f"method={config.method.name} begins online: what the policy sees through is trained, the policy is not.")
    bars = Bars()
    with TrajectoryStore(data_folder(run_dir), spec_of(config), read_only=True) as store:
        about = pretrain(
            [store],
            str(config.task.name),
            instructions_of(config),
            backbone.encode_text,
            backbone.digest,
            PretrainConfig(
                clone_steps=feeding.clone_steps,
                steps=feeding.steps,
                batch=feeding.batch,
                begins_online=not feeding.pretrains,
                encoder=encoder,
                camera=camera_names(config)[0],
                keypoints=KeypointConfig(steps=int(config.pretrain.encoder_steps)),
                agent=agent_config(config),
            ),
            pretrained_folder(config),
            seed=int(config.seed),
            device="cpu" if encoder is None else device_of(config),  # states alone are too little work for a GPU
            progress=bars,
            calibration=mark_in_use(config),
        )
    bars.close()
    errors = about["encoder_errors"]
    if errors:
        print(
            f"encoder, on held-out episodes: pick point within {errors['pick_cm']:.2f} cm, place point within "
            f"{errors['place_cm']:.2f} cm on average"
        )
    print(f"Saved in {pretrained_folder(config)}")
