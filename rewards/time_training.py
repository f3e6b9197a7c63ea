"""Trains what sees time: on the errors that an ensemble of single frames leaves, and on the progress of films."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from rewards.backbone import Backbone
from rewards.classifier import Ensemble, ImageFeatures, Member
from rewards.config import RewardConfig
from rewards.gathering import RewardData
from rewards.pairs import Pairs
from rewards.progress import FilmDraws
from rewards.samples import Wordings
from rewards.temporal import TimeNet
from rewards.windows import Windows

_BATCH = 48
"""Windows a step that success is learned from, half of them positive, and as many films for the progress."""
_RATE, _DECAY = 1e-3, 0.01
_CLIP = 1.0


class TimeTrainer:
    """Trains networks that see time on parts of the same data."""

    def __init__(self, data: RewardData, wordings: Wordings, backbone: Backbone, config: RewardConfig) -> None:
        self._data, self._wordings, self._backbone, self._config = data, wordings, backbone, config

    def train(self, members: Sequence[Member], pairs: Pairs) -> TimeNet:
        """A network in evaluation mode.

        Args:
            members: Those whose mean logit it corrects.
            pairs: What they learned from, changed copies included; films are drawn from the episodes of their folds.
        """
        config, data = self._config, self._data
        torch.manual_seed(config.seed)
        rng = np.random.default_rng(config.seed)
        windows = data.features.require_windows()
        width, poses = self._backbone.image_width, windows.proprio.shape[1]
        net = TimeNet(width, poses, config.window, len(config.views)).to(self._backbone.device)
        folds = set(pairs.folds.tolist())
        films = FilmDraws(data, [episode for episode in data.episodes if episode.fold in folds], config.window)
        net.fit_scale(windows.proprio[torch.from_numpy(np.unique(pairs.rows)).to(windows.proprio.device)])
        optimiser = torch.optim.AdamW(net.parameters(), lr=_RATE, weight_decay=_DECAY)
        positives, negatives = pairs[pairs.labels], pairs[~pairs.labels]
        net.train()
        steps = max(config.steps // 2, 1)  # a round of a member's two
        for step in range(steps):
            for group in optimiser.param_groups:
                group["lr"] = _RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
            loss = self._success(net, members, positives, negatives, rng) + self._progress(net, films, rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), _CLIP)
            optimiser.step()
        return net.eval().requires_grad_(False)

    def _success(
        self, net: TimeNet, members: Sequence[Member], positives: Pairs, negatives: Pairs, rng: np.random.Generator
    ) -> Tensor:
        half = _BATCH // 2
        chosen = [part[rng.integers(len(part), size=half)] for part in (positives, negatives)]
        rows = np.concatenate([part.rows for part in chosen])
        goals = np.concatenate([part.goals for part in chosen])
        texts = self._wordings.draw(goals, rng)
        features: ImageFeatures = self._data.features[torch.from_numpy(rows).to(texts.device)]
        with torch.no_grad():
            zero_shot = self._backbone.zero_shot(features.pooled, texts)
            before = Ensemble(tuple(members)).judge(features, texts, zero_shot)[0]
        correction, _ = net(features.require_windows(), texts)
        labels = torch.cat([torch.ones(half), torch.zeros(half)]).to(before)
        return functional.binary_cross_entropy_with_logits(before + correction, labels)

    def _progress(self, net: TimeNet, films: FilmDraws, rng: np.random.Generator) -> Tensor:
        """Squared error; of what is bounded from above only that of the part beyond."""
        drawn = films.draw(_BATCH, rng)
        every = self._data.features.require_windows()
        device = every.images.device
        windows = Windows(every.images, every.proprio, torch.from_numpy(drawn.rows).to(device))
        progress = torch.sigmoid(net(windows, self._wordings.draw(drawn.goals, rng))[1])
        beyond = progress - torch.from_numpy(drawn.progress).to(device)
        bounded = torch.from_numpy(drawn.at_most).to(device)
        return torch.where(bounded, beyond.clamp(min=0.0), beyond).square().mean()
