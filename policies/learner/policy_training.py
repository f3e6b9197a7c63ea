"""Training of the multi-task policy on recorded transitions: cloning first, then the method's losses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from policies.agent.agent import Agent
from policies.agent.agent_file import agent_content, agent_from
from policies.agent.agent_state import ENCODER, encoder_tensors
from policies.agent.objectives import Metrics
from policies.common.kept_checkpoints import KeptCheckpoint, KeptCheckpoints
from policies.common.progress import Progress
from policies.common.ranks import ALONE, Ranks
from policies.learner.divergence import DivergenceWatch, require_finite
from policies.learner.held_out import HeldOutEpisodes
from policies.learner.offline_data import OfflineData, SharedOfflineData
from policies.learner.pretrain_config import PretrainConfig
from policies.learner.record import Record
from policies.perception.protocol import Perception

_SHOW_EVERY = 20
_SETTLED = "settled"
_ADVICE = "Give a smaller +agent.critic_lr, or a method whose critics have LayerNorm (method=wsrl, method=rlpd)."


@dataclass(frozen=True)
class Keeping:
    """Where a training keeps what it needs to go on, and its figures.

    Attributes:
        checkpoints: Of the policy.
        record: Its metrics.
    """

    checkpoints: KeptCheckpoints
    record: Record


def settled_encoder(saved: KeptCheckpoint) -> dict[str, Tensor] | None:
    """The encoder's weights of a checkpoint after `PolicyTraining.settle`, for `Perception.with_encoder`; else None."""
    if not saved.header.get(_SETTLED, False):
        return None
    return {name.removeprefix(ENCODER): t for name, t in saved.tensors.items() if name.startswith(ENCODER)}


class PolicyTraining:
    """Updates of an agent on offline data, resumable bit for bit.

    An image encoder of the perception, if it has one that is to be trained, is trained along, until `settle`.

    Attributes:
        agent: In the phase "offline".
        updates: Done so far.
        losses: The newest value of every metric of an update, by name.
        figures: The newest ones on the held-out episodes, by name; empty without any.
    """

    def __init__(
        self,
        data: OfflineData | SharedOfflineData,
        perception: Perception,
        config: PretrainConfig,
        seed: int,
        device: torch.device | str = "cpu",
        *,
        held_out: HeldOutEpisodes | None = None,
        saved: KeptCheckpoint | None = None,
        keeping: Keeping | None = None,
        ranks: Ranks = ALONE,
    ) -> None:
        """Begin, or go on with a checkpoint.

        Args:
            data: Transitions.
            perception: Of the policy.
            config: Settings.
            seed: Of the agent's initial weights and draws.
            device: Where the agent lives.
            held_out: What is measured on the way; None for nothing.
            saved: Checkpoint of `keeping.checkpoints` to go on with; None begins anew.
            keeping: Where checkpoints and metrics go; None keeps neither.
            ranks: Processes that train the agent, of which one keeps; `data` is shared among them.

        Raises:
            CheckpointError: The checkpoint doesn't fit the networks.
        """
        self._config, self._held_out, self._keeping, self._ranks = config, held_out, keeping, ranks
        self._mixed, self._perception = data.mixed(config.target_share), perception
        self._watch = DivergenceWatch(config.agent, _ADVICE)
        self.updates, self.losses, self.figures = 0, dict[str, float](), dict[str, float]()
        self._newest: Mapping[str, Tensor] = {}
        width, encoder = perception.text.rows.shape[1], perception.trained
        if saved is None:
            self.agent = Agent(config.agent, perception.size, width, device=device, seed=seed, encoder=encoder)
            self.agent.set_instructions(torch.from_numpy(perception.text.rows))
            self.agent.join(ranks)
            return
        payload, header = dict(saved.tensors), saved.header
        if encoder is None:  # what cloning has trained is the caller's by now, see `settled_encoder`
            payload = {name: tensor for name, tensor in payload.items() if not name.startswith(ENCODER)}
        self.agent, draws = agent_from(payload, header, config.agent, saved.path, device=device, encoder=encoder)
        self._mixed.load_state_dict(draws)
        self.updates, self.losses, self.figures = int(header["updates"]), header["losses"], header["figures"]
        self.agent.join(ranks)

    def settle(
        self,
        data_of: Callable[[Perception], OfflineData | SharedOfflineData],
        held_out_of: Callable[[Perception], HeldOutEpisodes | None],
    ) -> Perception:
        """Freeze the encoder and go on on its features; the draws begin anew, no image is shifted any more.

        Args:
            data_of: The transitions with a perception's features; called when those with images are gone.
            held_out_of: The same of the held-out episodes; not called without any.

        Returns:
            The perception from here on.
        """
        self._perception = self._perception.settled()
        self.agent.freeze_encoder()
        measured = self._held_out is not None
        self._held_out = None
        del self._mixed
        self._mixed = data_of(self._perception).mixed(self._config.target_share)
        if measured:
            self._held_out = held_out_of(self._perception)
        return self._perception

    def run(self, progress: Progress | None = None, until: int | None = None) -> None:
        """Do the updates that are left, to `until` or to the last one, and keep a checkpoint at the end.

        Raises:
            CheckpointError: The learning diverged; what was saved before stays.
        """
        config, total = self._config, self._config.updates
        if total == 0:
            self._save(last=True)
        while self.updates < (total if until is None else until):
            metrics = self._update()
            last = self.updates == total
            if last or self.updates % config.log_every == 0:
                self._write(metrics)
            if last or self.updates % config.held_out_every == 0:
                self._measure()
            if last or self.updates % config.checkpoint_every == 0:
                self._ranks.require_same(self.agent.actor_weights(), "the policy")
                self._save(last)
            if progress is not None and (last or self.updates % _SHOW_EVERY == 0):
                progress("policy", self.updates, total)

    def _update(self) -> Metrics:
        if self._keeping is None:
            return self._learn()
        with self._keeping.record.timed("learning"):
            return self._learn()

    def _learn(self) -> Metrics:
        batch = self._mixed.sample(self._config.batch)
        clone = self.updates < self._config.clone_steps
        metrics = self.agent.update_by_cloning(batch) if clone else self.agent.update(batch)
        self.updates += 1
        if self._ranks.first and self.updates % self._config.log_every == 0:
            self._watch.look(batch.reward, metrics)
        self._newest = {**self._newest, **metrics}
        if self.updates == self._config.updates:
            self._settle()
        return metrics

    def _settle(self) -> None:
        """Take the newest metrics off the device."""
        self.losses |= {name: float(value) for name, value in self._newest.items()}
        self._newest = {}

    def _write(self, metrics: Metrics) -> None:
        if self._keeping is not None:
            self._keeping.record.write_losses(self.updates, "offline", metrics)

    def _measure(self) -> None:
        """Figures on the held-out episodes; of the critics, too, once they have learned something."""
        if self._keeping is None or self._held_out is None:
            return
        critics = self.agent.critic_updates > 0
        with self._keeping.record.timed("evaluating"):
            self.figures = self._held_out.figures(self.agent, critics)
        self._keeping.record.write(self.updates, {f"held_out/{name}": value for name, value in self.figures.items()})

    def _save(self, last: bool) -> None:
        if self._keeping is None:
            return
        folder = self._keeping.checkpoints.folder
        require_finite(self.agent, self.updates, f"{_ADVICE} Delete {folder} to begin anew.")
        self._settle()
        self._keeping.record.flush()
        payload, header = agent_content(self.agent, self._mixed.state_dict())
        counted: dict[str, Any] = {"updates": self.updates, "seconds": self._keeping.record.seconds}
        if self._config.settles and self.agent.encoder is None:
            payload |= encoder_tensors(self._perception.encoder)
            counted[_SETTLED] = True
        header |= counted | {"losses": self.losses, "figures": self.figures}
        self._keeping.checkpoints.save(self.updates, payload, header, last=last)


def train_policy(
    data: OfflineData,
    perception: Perception,
    config: PretrainConfig,
    seed: int,
    device: torch.device | str = "cpu",
    progress: Progress | None = None,
) -> tuple[Agent, dict[str, float]]:
    """Train from the beginning to the end, without checkpoints and metrics; arguments as `PolicyTraining`.

    An image encoder is trained to the end, after cloning by the critics: it is `pretrain` that freezes it.

    Returns:
        The agent, still in the phase "offline", and the newest value of every metric of an update.
    """
    training = PolicyTraining(data, perception, config, seed, device)
    training.run(progress)
    return training.agent, training.losses
