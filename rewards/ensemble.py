"""Trains the members of an ensemble on pairs of frames and goals, in two rounds with hard negatives in the second."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rewards.backbone import Backbone
from rewards.classifier import Ensemble, ImageFeatures, Member
from rewards.config import RewardConfig
from rewards.gathering import RewardData
from rewards.pairs import Pairs, joined, with_copies
from rewards.samples import Wordings
from rewards.threads import computing_with
from rewards.time_training import TimeTrainer
from trajectories.types import Float64, Int64

_CHUNK = 4096


class EnsembleTrainer:
    """Trains ensembles on parts of the same data."""

    def __init__(self, data: RewardData, wordings: Wordings, backbone: Backbone, config: RewardConfig) -> None:
        self._data, self._wordings, self._backbone, self._config = data, wordings, backbone, config

    def train(self, pairs: Pairs) -> Ensemble:
        """`config.members` networks that differ in their seeds alone and what sees time, in evaluation mode.

        Args:
            pairs: What they learn from, with both labels among them, without changed copies.
        """
        everything = with_copies(pairs, self._data)
        small = None if self._config.finetune_last_block else 1  # steps of a head are too short to be shared out
        with computing_with(small):
            seeds = range(self._config.seed, self._config.seed + self._config.members)
            members = tuple(self._member(pairs, everything, seed) for seed in seeds)
            if not self._config.window:
                return Ensemble(members)
            return Ensemble(
                members,
                TimeTrainer(self._data, self._wordings, self._backbone, self._config).train(members, everything),
            )

    def logits(self, ensemble: Ensemble, rows: Int64, texts: Int64) -> Float64:
        """Logits float64 (N,) of frames under wordings: rows of the features (N,), rows of the wordings (N,)."""
        return self._said(lambda *seen: ensemble.judge(*seen)[0], rows, texts)

    def zero_shot(self, rows: Int64, texts: Int64) -> Float64:
        """The backbone's own logits float64 (N,) of the same; arguments as of `logits`."""
        return self._said(lambda features, text, zero_shot: zero_shot, rows, texts)

    @torch.no_grad()
    def _said(self, judge: Callable[[ImageFeatures, Tensor, Tensor], Tensor], rows: Int64, texts: Int64) -> Float64:
        """What `judge` makes of features, texts and zero-shot logits, some thousands at a time: float64 (N,)."""
        parts = []
        for start in range(0, len(rows), _CHUNK):
            chosen = slice(start, start + _CHUNK)
            text = self._wordings.texts[torch.from_numpy(texts[chosen]).to(self._wordings.texts.device)]
            features = self._features(rows[chosen])
            parts.append(judge(features, text, self._backbone.zero_shot(features.pooled, text)))
        return torch.cat(parts).double().cpu().numpy() if parts else np.zeros(0)

    def _features(self, rows: Int64) -> ImageFeatures:
        return self._data.features[torch.from_numpy(rows).to(self._data.features.pooled.device)]

    def _member(self, pairs: Pairs, everything: Pairs, seed: int) -> Member:
        """Two rounds: first on all negatives alike, then with the ones that the first round got most wrong."""
        config = self._config
        torch.manual_seed(seed)
        rng = np.random.default_rng(seed)
        last_block = self._backbone.last_block() if config.finetune_last_block else None
        width, views = self._backbone.image_width, len(config.views)
        member = Member(width, config.hidden, last_block, views).to(self._backbone.device)
        hard = everything[np.zeros(len(everything), bool)]
        for _ in range(2):
            self._fit(member, everything, hard, rng)
            negatives = pairs[~pairs.labels]
            worst = np.argsort(-self._highest(member, negatives))[: max(len(negatives) // 20, config.batch // 4)]
            hard = with_copies(negatives[worst], self._data)
        return member.eval().requires_grad_(False)

    def _highest(self, member: Member, pairs: Pairs) -> Float64:
        """The highest logit of each pair among its goal's wordings: float64 (N,)."""
        index, texts = self._wordings.every(pairs.goals)
        highest = np.full(len(pairs), -np.inf)
        np.maximum.at(highest, index, self.logits(Ensemble((member,)), pairs.rows[index], texts))
        return highest

    def _fit(self, member: Member, pairs: Pairs, hard: Pairs, rng: np.random.Generator) -> None:
        config = self._config
        positives, negatives = pairs[pairs.labels], pairs[~pairs.labels]
        optimiser = torch.optim.AdamW(member.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        half = config.batch // 2
        mined = round(config.mined * half) if len(hard) else 0
        member.train()
        if member.last_block is not None:
            member.last_block.eval()  # batch statistics stay the pre-trained ones
        for step in range(config.steps):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * 0.5 * (1 + math.cos(math.pi * step / config.steps))
            batch = joined(_draw(positives, half, rng), _draw(negatives, half - mined, rng), _draw(hard, mined, rng))
            logits = self._forward(member, batch, self._wordings.draw(batch.goals, rng))
            labels = torch.from_numpy(batch.labels).to(logits)
            loss = functional.binary_cross_entropy_with_logits(logits, labels)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
        member.eval()

    def _forward(self, member: Member, pairs: Pairs, texts: Tensor) -> Tensor:
        features = self._features(pairs.rows)
        logits: Tensor = member(features, texts, self._backbone.zero_shot(features.pooled, texts))
        return logits


def _draw(pairs: Pairs, count: int, rng: np.random.Generator) -> Pairs:
    return pairs[rng.integers(len(pairs), size=count)] if count else pairs[np.zeros(0, np.int64)]
