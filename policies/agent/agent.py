"""`Agent`: actor, critic ensemble, targets, temperature, optimisers, and the updates of every method.

One agent goes through the phases in place, so that going online keeps parameters, targets, optimiser moments
and temperature (step 2 of WSRL, arXiv 2412.07762). What differs between methods is the `AgentConfig` (see
`policies.agent.methods`) and the replay that batches are drawn from:

    agent.set_instructions(table)
    agent.set_phase("offline")                       # Cal-QL + cloning
    for _ in range(steps): agent.update(replay.sample(256))
    agent.set_phase("online")                        # WSRL: plain SAC on an empty replay (after the warm-up)
    for _ in range(steps): agent.update(online.sample(1024), utd=4)

With an image encoder the replay's frames are encoded in the update, each once, and the critics' loss trains the encoder
along (RoboFuME, arXiv 2310.15145); the actor's never does, except while cloning alone, when there is no critic.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from policies.agent.acting import ActingAgent
from policies.agent.agent_state import agent_state, load_agent_state
from policies.agent.averaging import new_average, take_along
from policies.agent.compiled import compiled, kept, new_step
from policies.agent.config import PHASES, AgentConfig, Phase
from policies.agent.draws import draw_critics, draw_for_actor, draw_for_critic
from policies.agent.gradient_graph import GradientGraphs, Objective
from policies.agent.losses.anchor import annealed
from policies.agent.losses.lagrange import lagrange_loss
from policies.agent.losses.temperature import raw_of, temperature_loss, temperature_of
from policies.agent.networks import Actor, CriticEnsemble, ValueNetwork, follow, select
from policies.agent.objectives import Metrics, Models, actor_objective, clone_objective, critic_objective
from policies.agent.optimisers import Optimisers
from policies.agent.shared_batch import shared_copied, shared_means
from policies.common.batch import Batch
from policies.common.ranks import Ranks, share_state
from policies.perception.encoders.encoder import Encoder
from policies.perception.encoders.frames import EncodedBatch, draw_for_images, draw_shifts, encode_batch, encode_now
from trajectories.errors import ConfigError
from trajectories.types import ACTION_SIZE


class Agent(ActingAgent):
    """An actor and an ensemble of critics, for offline and online learning.

    Attributes:
        config: Settings.
        actor: The policy network.
        critics: The ensemble.
        targets: Its slow copy.
        value: The state-value network of implicit Q-learning, or None.
        target_actor: The slow copy of the actor, or None.
        average: The running average of the actor, which acts in its place, or None.
        encoder: The image encoder that is trained along, or None: then batches bring features.
        anchor: The policy that the phase began with, where the actor is kept near it, or None.
        anchor_encoder: What that policy sees through, where the encoder is trained: its copy of then; else None.
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
        encoder: Encoder | None = None,
    ) -> None:
        """A new agent in the phase "offline".

        Args:
            config: Settings.
            state_size: F.
            instruction_size: E; 0 for tasks without language, which need no instruction table.
            action_size: A.
            device: Where everything lives.
            seed: Of the initial weights and of all later draws.
            encoder: An image encoder of F features to train along; it moves to `device` and is shared, not copied.

        Raises:
            ConfigError: For an encoder that is frozen or has another number of features.
        """
        if encoder is not None and (encoder.frozen or encoder.size != state_size):
            raise ConfigError(
                f"an agent of {state_size} features can't train an encoder of {encoder.size}, frozen={encoder.frozen}; "
                "give it one that fits, or none: a frozen encoder's features come from replay"
            )
        self.config = config
        self.sizes = (state_size, instruction_size, action_size)
        self.device = torch.device(device)
        self.generator = torch.Generator(device=self.device).manual_seed(seed)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.actor = Actor(config.networks, *self.sizes).to(self.device)
            self.critics = CriticEnsemble(config.networks, *self.sizes).to(self.device)
            hidden = config.networks.value_hidden
            self.value = None if hidden is None else ValueNetwork(config.networks, hidden, *self.sizes[:2])
        if self.value is not None:
            self.value.to(self.device)
        self.targets = copy.deepcopy(self.critics).requires_grad_(False)
        slow = config.networks.target_policy
        self.target_actor = copy.deepcopy(self.actor).requires_grad_(False) if slow else None
        self.average = new_average(config, self.actor, encoder)
        self.anchor: Actor | None = None
        self.anchor_encoder: Encoder | None = None
        self.encoder = None if encoder is None else encoder.to(self.device)
        self.table = torch.zeros(0, instruction_size, device=self.device)
        self.raw_temperature = raw_of(config.initial_temperature).to(self.device).requires_grad_()
        phases = [config.phase(name) for name in PHASES]
        start = next((phase.cql_alpha for phase in phases if phase.cql_gap is not None), 0.0) or 1e-6
        self.log_cql_weight = torch.tensor(start, device=self.device).log().requires_grad_()
        self.phase: Phase = "offline"
        self.critic_updates = self.actor_updates = self.phase_updates = 0
        self._optimise()
        both: tuple[Objective, ...] = (critic_objective, actor_objective)
        self._graphs = {objective: GradientGraphs(objective, config.compile, self.device) for objective in both}
        self._compiled = {objective: compiled(objective, config.compile, self.device) for objective in both}

    def _optimise(self) -> None:
        self._critic_tensors = self.critics.tensors()
        self._target_tensors = self.targets.tensors()
        self._value_tensors = [] if self.value is None else self.value.tensors()
        parts: dict[str, Sequence[Tensor]] = {"actor": [*self.actor.parameters()], "critics": self._critic_tensors}
        parts |= {"temperature": [self.raw_temperature], "cql_weight": [self.log_cql_weight]}
        if self.value is not None:
            parts["value"] = self._value_tensors
        if self.encoder is not None:
            parts["encoder"] = [parameter for parameter in self.encoder.parameters() if parameter.requires_grad]
        self.optimisers = Optimisers.of(self.config, parts)

    @property
    def temperature(self) -> Tensor:
        """The entropy weight alpha, scalar without gradient."""
        return temperature_of(self.raw_temperature.detach())

    @property
    def finite(self) -> bool:
        """Whether all parameters of actor and critics are finite; waits for the device."""
        parameters = (*self.actor.parameters(), *self.critics.parameters())
        return all(bool(parameter.isfinite().all()) for parameter in parameters)

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

    def freeze_encoder(self) -> None:
        """Go on without training the encoder: from here on batches bring its features."""
        if self.encoder is not None:
            self.encoder.freeze()
            del self.optimisers["encoder"]
            self.average = new_average(self.config, self.actor, None)
        self.encoder = None

    def join(self, ranks: Ranks) -> None:
        """Learn with the agents of other ranks, each from its part of a batch; all begin with the first one's state."""
        self.optimisers.ranks = ranks
        tensors, _ = self.state()
        share_state(ranks, tensors)
        self.generator.set_state(tensors["generator"])

    def set_phase(self, phase: Phase) -> None:
        """Go on with the losses of `phase`, from and anchored to the policy that acts; nothing when already in it.

        A phase may begin with a narrower policy (`PhaseConfig.start_spread`).
        """
        settings = self.config.phase(phase)
        if phase == self.phase:
            return
        self.phase, self.phase_updates = phase, 0
        if self.average is not None:
            self.actor.load_state_dict(self.average.state_dict())
        for each in (self.actor, self.average, self.target_actor):
            if each is not None and settings.start_spread != 1:
                each.scale_spread(settings.start_spread)
        self.anchor = copy.deepcopy(self.actor).requires_grad_(False) if settings.anchored else None
        sees = self.encoder if settings.anchored else None
        self.anchor_encoder = None if sees is None else sees.copied().requires_grad_(False)

    def update(self, batch: Batch, utd: int = 1) -> Metrics:
        """Take `utd` critic steps on equal parts of the batch, then one actor and temperature step on all of it.

        A phase whose extraction is "bc" has the actor's update alone. With an encoder, each part is encoded once, for
        its critic update; the actor learns from the same features, of which the first are then some critic steps old.

        Args:
            batch: A multiple of `utd` transitions (WSRL: 1,024 and 4).
            utd: Critic updates, at least 1.

        Returns:
            Scalars of the last updates, still on the device.

        Raises:
            ConfigError: When the batch can't be split equally.
        """
        phase = self.config.phase(self.phase)
        if phase.extraction == "bc":
            return self.update_by_cloning(batch)
        metrics: Metrics = {}
        seen: list[Batch] = []
        for part in batch.minibatches(utd):
            encoded = self._encoded(part)
            seen.append(encoded.actor)
            metrics = self.update_critic(encoded.critic)
        if not phase.critic_only and self.critic_updates % phase.actor_delay == 0:
            pieces = 1 if self.encoder is None else utd
            metrics |= self.update_actor(batch if self.encoder is None else Batch.concatenate(seen), pieces)
        return metrics

    def _encoded(self, batch: Batch) -> EncodedBatch:
        """The batch with features in place of frames; as it is without an encoder."""
        if self.encoder is None:
            return EncodedBatch(batch, batch)
        draws = draw_for_images(self.encoder, len(batch), self.generator, self.optimisers.ranks)
        start = self.anchor_encoder if self._anchor_weight() > 0 else None
        return encode_batch(self.encoder, batch, self.table, draws, start)

    def _anchor_weight(self) -> float:
        """That of the next actor update."""
        phase = self.config.phase(self.phase)
        return annealed(phase.anchor_weight, self.phase_updates, phase.anchor_steps, phase.anchor_final)

    def update_critic(self, batch: Batch) -> Metrics:
        """One step of critics, value network and encoder, of the targets, and of the regulariser's learned weight.

        Args:
            batch: With features: of an encoder that shall be trained, with their gradient (`encode_batch`).
        """
        phase = self.config.phase(self.phase)
        draws = draw_for_critic(self.config, phase, batch.action.shape, self.generator, self.optimisers.ranks)
        value = ["value"] if phase.expectile is not None else []
        arguments = self.models(), batch, draws, self._cql_weight()
        (metrics,) = self._improve(critic_objective, arguments, "critics", *value)
        self.critic_updates += 1
        if self.critic_updates % phase.actor_delay == 0:
            torch._foreach_lerp_(self._target_tensors, [t.detach() for t in self._critic_tensors], self.config.tau)
        if phase.cql_gap is not None:
            loss = lagrange_loss(self.log_cql_weight, metrics["critic/gap"], phase.cql_gap)
            self.optimisers.descend_alike(loss, "cql_weight")
            metrics["critic/cql_weight"] = self._cql_weight()
        return metrics

    def update_actor(self, batch: Batch, pieces: int = 1) -> Metrics:
        """One step of the actor and its slow copy, in a soft phase of the temperature; `pieces` as `draw_for_actor`."""
        phase = self.config.phase(self.phase)
        noise = draw_for_actor(phase, batch.action.shape, self.generator, self.optimisers.ranks, pieces)
        weight = self._anchor_weight()
        anchor = self.anchor if weight > 0 else None
        models = replace(self.models(), critics=self._critics_for_actor(), anchor=anchor)
        with self._precision():
            means = shared_means(self.optimisers.ranks, self.config, phase, models, batch, noise)
        arguments = models, batch, noise, self._constant(weight), means
        log_prob, metrics = self._improve(actor_objective, arguments, "actor")
        if log_prob is not None:
            loss = temperature_loss(self.raw_temperature, -metrics["actor/entropy"], self.target_entropy)
            self.optimisers.descend_alike(loss, "temperature")
            metrics["actor/temperature"] = self.temperature
        if phase.anchor_tau > 0:
            for slow, fast in ((self.anchor, self.actor), (self.anchor_encoder, self.encoder)):
                if slow is not None and fast is not None:
                    follow(slow, fast, phase.anchor_tau)
        self._actor_moved()
        self.actor_updates += 1
        self.phase_updates += 1
        return metrics

    def _actor_moved(self) -> None:
        """Take the actor's slow copies along."""
        if self.target_actor is not None:
            follow(self.target_actor, self.actor, self.config.tau)
        if self.average is not None:
            take_along(self.average, self.actor, self.config.actor_average, self.actor_updates)

    def models(self) -> Models:
        """The networks as the objectives take them, critics with gradient."""
        return Models(
            actor=self.actor,
            critics=self._critic_tensors,
            targets=self._target_tensors,
            table=self.table,
            temperature=self.temperature,
            value=self._value_tensors,
            target_actor=self.target_actor,
        )

    def _critics_for_actor(self) -> list[Tensor]:
        """The critics that an actor update looks at, without gradient."""
        phase = self.config.phase(self.phase)
        # IQL's advantages are those of the target critics, which its state value was fitted to.
        slow = phase.expectile is not None and phase.extraction == "awr"
        frozen = [tensor.detach() for tensor in (self._target_tensors if slow else self._critic_tensors)]
        if phase.actor_q == "first":
            return [tensor[:1] for tensor in frozen]
        drawn = draw_critics(self.config, phase.actor_critics, self.generator)
        return frozen if drawn is None else select(frozen, drawn)

    def update_by_cloning(self, batch: Batch) -> Metrics:
        """One step of the actor on the cloning loss alone: the behaviour-cloning baseline.

        There is no critic to train an encoder, so here the cloning loss does.
        """
        if self.encoder is not None:
            offsets = draw_shifts(self.encoder, len(batch), self.generator, self.optimisers.ranks)
            batch = encode_now(self.encoder, batch, self.table, offsets)
        phase = self.config.phase(self.phase)
        copied = shared_copied(self.optimisers.ranks, phase, batch)
        with self._precision():
            mean, log_std = self.actor(batch.state, self.actor.codes(self.table, batch.instruction))
            loss = clone_objective(self.config, phase, mean, log_std, batch, copied)
        metrics = {"actor/clone": loss.detach().clone()}
        self.optimisers.descend(loss, metrics, "actor", *self._encoder_optimiser())
        self._actor_moved()
        self.actor_updates += 1
        return metrics

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """The whole training state: named tensors, and counters as plain JSON; see `policies.agent.checkpoint`."""
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
        return self._constant(phase.cql_alpha)

    def _precision(self) -> torch.autocast:
        """Matrix products in bfloat16 where the settings want it.

        Parameters, norms, losses and the last layers stay float32: what is learned are small differences of values.
        """
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.bf16)

    def _encoder_optimiser(self) -> list[str]:
        """The encoder's optimiser, where there is one."""
        return [] if self.encoder is None else ["encoder"]

    def _constant(self, value: float) -> Tensor:
        """A scalar that is made on the device: a copy from the host would wait for it."""
        return torch.full((), value, device=self.device)

    def _improve(self, objective: Objective, arguments: Sequence[Any], *names: str) -> Sequence[Any]:
        """Step of these optimisers down an objective's loss; returns what the objective gives beside it."""
        constants = self.config, self.config.phase(self.phase)
        with self._precision():
            rest = self._graphs[objective].differentiate(constants, arguments, self.optimisers.tensors(*names))
            if rest is not None:
                self.optimisers.advance(rest[-1], *names)
                return rest
            new_step(self.device)
            loss, *rest, metrics = self._compiled[objective](*constants, *arguments)
        metrics = kept(metrics, self.config.compile, self.device)
        encoder = self._encoder_optimiser() if objective is critic_objective else []
        self.optimisers.descend(loss, metrics, *names, *encoder)
        return [*rest, metrics]
