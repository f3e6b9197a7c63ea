"""`Agent`: actor, critic ensemble, targets, temperature, optimisers, and the updates of every method.

One agent goes through the phases in place, so that going online keeps parameters, targets, optimiser moments
and temperature (step 2 of WSRL, arXiv 2412.07762). What differs between Cal-QL with cloning, WSRL and
RoboFuME is the `PhaseConfig` and the replay that batches are drawn from:

    agent.set_instructions(table)
    agent.set_phase("offline")                       # Cal-QL + cloning
    for _ in range(steps): agent.pretrain_update(replay.sample(256))
    agent.set_phase("online")                        # WSRL: plain SAC on an empty replay (after the warm-up)
    for _ in range(steps): agent.online_update(online.sample(1024), utd=4)
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from policies.agent_state import agent_state, load_agent_state
from policies.batch import Batch
from policies.compiled import compiled
from policies.config import AgentConfig, Phase
from policies.distribution import sample
from policies.losses.anchor import annealed
from policies.losses.lagrange import lagrange_loss
from policies.losses.temperature import raw_of, temperature_loss, temperature_of
from policies.networks import Actor, CriticEnsemble, select
from policies.objectives import (
    Metrics,
    actor_objective,
    clone_objective,
    critic_objective,
    draw_critics,
    draw_for_critic,
)
from trajectories.errors import ConfigError
from trajectories.types import ACTION_SIZE


class Agent:
    """A soft actor-critic with an ensemble, for offline and online learning.

    Attributes:
        config: Settings.
        actor: The policy network.
        critics: The ensemble.
        targets: Its slow copy.
        phase: "offline", "warmup" or "online".
        critic_updates: Critic updates ever done.
        actor_updates: Actor updates ever done.
        phase_updates: Actor updates in this phase.
    """

    def __init__(
        self,
        config: AgentConfig,
        state_size: int,
        instruction_size: int,
        action_size: int = ACTION_SIZE,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        """A new agent in the phase "offline".

        Args:
            config: Settings.
            state_size: F.
            instruction_size: E.
            action_size: A.
            device: Where everything lives.
            seed: Of the initial weights and of all later draws.
        """
        self.config = config
        self.sizes = (state_size, instruction_size, action_size)
        self.device = torch.device(device)
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = Actor(config.networks, *self.sizes).to(self.device)
            self.critics = CriticEnsemble(config.networks, *self.sizes).to(self.device)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        self.anchor: Actor | None = None
        self.table = torch.zeros(0, instruction_size, device=self.device)
        self.raw_temperature = raw_of(config.initial_temperature).to(self.device).requires_grad_()
        start = max(config.offline.cql_alpha, 1e-6)
        self.log_cql_weight = torch.tensor(start, device=self.device).log().requires_grad_()
        self.phase: Phase = "offline"
        self.critic_updates = self.actor_updates = self.phase_updates = 0
        self._optimise()
        self._critic_objective = compiled(critic_objective, config.compile)
        self._actor_objective = compiled(actor_objective, config.compile)

    def _optimise(self) -> None:
        def adam(parameters: Iterable[Tensor], rate: float) -> torch.optim.Adam:
            return torch.optim.Adam(list(parameters), lr=rate, fused=True)

        config = self.config
        self.optimisers = {
            "actor": adam(self.actor.parameters(), config.actor_lr),
            "critics": adam(self.critics.tensors(), config.critic_lr),
            "temperature": adam([self.raw_temperature], config.temperature_lr),
            "cql_weight": adam([self.log_cql_weight], config.temperature_lr),
        }
        self._critic_tensors = self.critics.tensors()
        self._target_tensors = self.targets.tensors()

    @property
    def temperature(self) -> Tensor:
        """The entropy weight alpha, scalar without gradient."""
        return temperature_of(self.raw_temperature.detach())

    @property
    def target_entropy(self) -> float:
        """Nats."""
        return -float(self.sizes[2]) if self.config.target_entropy is None else self.config.target_entropy

    def set_instructions(self, table: Tensor) -> None:
        """Set the embeddings that `Batch.instruction` refers to; call again when instructions are added.

        Args:
            table: float32 (K, E).

        Raises:
            ConfigError: When E differs from the networks'.
        """
        if table.ndim != 2 or table.shape[1] != self.sizes[1]:
            raise ConfigError(
                f"instruction table has shape {tuple(table.shape)}; expected (K, {self.sizes[1]}). "
                "Use the text encoder that the agent was made for"
            )
        self.table = table.detach().to(self.device, torch.float32)

    def set_phase(self, phase: Phase) -> None:
        """Go on with the losses of `phase`, anchored to the present policy; nothing when already in it."""
        settings = self.config.phase(phase)
        if phase == self.phase:
            return
        self.phase, self.phase_updates = phase, 0
        anchored = settings.anchor_weight > 0 or settings.anchor_final > 0
        self.anchor = copy.deepcopy(self.actor).requires_grad_(False) if anchored else None

    def pretrain_update(self, batch: Batch) -> Metrics:
        """One critic and one actor update (Cal-QL with cloning, by the present phase's settings)."""
        return self.online_update(batch, utd=1)

    def online_update(self, batch: Batch, utd: int) -> Metrics:
        """`utd` critic updates on equal parts of the batch, then one actor and temperature update on all.

        Args:
            batch: A multiple of `utd` transitions (WSRL: 1,024 and 4).
            utd: Critic updates, at least 1.

        Returns:
            Scalars of the last updates, still on the device.

        Raises:
            ConfigError: When the batch can't be split equally.
        """
        metrics: Metrics = {}
        for part in batch.minibatches(utd):
            metrics = self.update_critic(part)
        if not self.config.phase(self.phase).critic_only:
            metrics |= self.update_actor(batch)
        return metrics

    def update_critic(self, batch: Batch) -> Metrics:
        """One step of all critics, of their targets, and of the regulariser's weight where it is learned."""
        phase = self.config.phase(self.phase)
        draws = draw_for_critic(self.config, phase, batch.action.shape, self.generator)
        loss, metrics = self._critic_objective(
            self.config, phase, self._critic_tensors, self._target_tensors, self.actor, self.table, batch,
            self.temperature, self._cql_weight(), draws,
        )  # fmt: skip
        self._step("critics", loss)
        torch._foreach_lerp_(self._target_tensors, [t.detach() for t in self._critic_tensors], self.config.tau)
        if phase.cql_gap is not None:
            self._step("cql_weight", lagrange_loss(self.log_cql_weight, metrics["critic/gap"], phase.cql_gap))
            metrics["critic/cql_weight"] = self._cql_weight()
        self.critic_updates += 1
        return metrics

    def update_actor(self, batch: Batch) -> Metrics:
        """One step of the actor and of the temperature."""
        phase = self.config.phase(self.phase)
        noise = torch.randn(batch.action.shape, generator=self.generator, device=self.device)
        weight = annealed(phase.anchor_weight, self.phase_updates, phase.anchor_steps, phase.anchor_final)
        frozen = [tensor.detach() for tensor in self._critic_tensors]
        drawn = draw_critics(self.config, phase.actor_critics, self.generator)
        frozen = frozen if drawn is None else select(frozen, drawn)
        loss, log_prob, metrics = self._actor_objective(
            self.config, phase, frozen, self.actor, self.anchor if weight > 0 else None, self.table, batch,
            self.temperature, torch.tensor(weight, device=self.device), noise,
        )  # fmt: skip
        self._step("actor", loss)
        self._step("temperature", temperature_loss(self.raw_temperature, log_prob, self.target_entropy))
        if self.anchor is not None and phase.anchor_tau > 0:
            pairs = zip(self.anchor.parameters(), self.actor.parameters(), strict=True)
            for anchor, actor in pairs:
                anchor.data.lerp_(actor.detach(), phase.anchor_tau)
        self.actor_updates += 1
        self.phase_updates += 1
        return metrics | {"actor/temperature": self.temperature}

    def clone_update(self, batch: Batch) -> Metrics:
        """One step of the actor on the cloning loss alone: the behaviour-cloning baseline."""
        mean, log_std = self.actor(batch.state, self.actor.encode(self.table)[batch.instruction])
        loss = clone_objective(self.config, self.config.phase(self.phase), mean, log_std, batch)
        self._step("actor", loss)
        self.actor_updates += 1
        return {"actor/clone": loss.detach()}

    @torch.no_grad()
    def act(self, state: Tensor, embedding: Tensor, deterministic: bool = False) -> Tensor:
        """Actions (B, A) in [-1, 1] for states (B, F) and instruction embeddings (B, E)."""
        mean, log_std = self.actor(state, self.actor.encode(embedding))
        if deterministic:
            return torch.tanh(mean)
        noise = torch.randn(mean.shape, generator=self.generator, device=self.device)
        return sample(mean, log_std, noise)[0]

    def actor_weights(self) -> Mapping[str, Tensor]:
        """Name -> tensor of the policy network, on the CPU: what is published to the robot."""
        return {name: tensor.detach().cpu().clone() for name, tensor in self.actor.state_dict().items()}

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The whole training state: named tensors, and counters as plain JSON; see `policies.checkpoint`."""
        return agent_state(self)

    def load_state(self, tensors: Mapping[str, Tensor], counters: Mapping[str, Any]) -> None:
        """Restore what `state` gave.

        Raises:
            CheckpointError: When a tensor is missing, unknown or has another shape.
        """
        load_agent_state(self, tensors, counters)

    def _cql_weight(self) -> Tensor:
        phase = self.config.phase(self.phase)
        if phase.cql_gap is not None:
            return self.log_cql_weight.detach().exp()
        return torch.tensor(phase.cql_alpha, device=self.device)

    def _step(self, name: str, loss: Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
