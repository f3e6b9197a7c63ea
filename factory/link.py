"""The link between actor and learner as the settings want it."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from factory.run_folders import finetune_folder
from robot.link.certificates import run_pair
from robot.link.tls import TlsFiles, is_loopback
from trajectories.errors import ConfigError

_FILES = ("certificate", "key", "authority")


def certificates_of(config: DictConfig) -> TlsFiles | None:
    """This machine's certificate, key and authority, None where the settings name none.

    Raises:
        ConfigError: When some of the three are missing.
    """
    link = config.link
    missing = [f"link.{name}" for name in _FILES if not link[name]]
    if len(missing) == len(_FILES):
        return None
    if missing:
        raise ConfigError(f"{', '.join(missing)} missing: link.certificate, link.key and link.authority go together.")
    return TlsFiles(Path(link.certificate), Path(link.key), Path(link.authority))


def tls_of(config: DictConfig) -> TlsFiles:
    """The certificates of this end: those of the settings or, on loopback, the pair in the run's folder.

    Raises:
        ConfigError: When some of the files are not named, none is and the address is not on loopback, or the run's
            pair can't be made or read.
    """
    files = certificates_of(config)
    if files is not None:
        return files
    address = config.link.address
    if not is_loopback(address):
        raise ConfigError(
            f"link.address={address} can be reached from other machines, so both ends need a certificate: make one for "
            "each with `regrasp certificates` and name its files with link.certificate, link.key and link.authority "
            "(docs/security.md), or take a loopback address like 127.0.0.1:50051."
        )
    folder = finetune_folder(config)
    folder.mkdir(parents=True, exist_ok=True)
    return run_pair(folder)
