"""The link between actor and learner as the settings want it."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from robot.link.tls import TlsFiles


def tls_of(config: DictConfig) -> TlsFiles | None:
    """The TLS files of the settings, None when none is named."""
    link = config.link
    if not (link.certificate or link.key or link.authority):
        return None
    return TlsFiles(Path(link.certificate or ""), Path(link.key or ""), Path(link.authority or ""))
