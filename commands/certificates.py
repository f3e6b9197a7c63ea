"""`regrasp certificates`: an authority for the laboratory, and a certificate for each of its machines."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from robot.link.certificates import fingerprint, load_certificate, make_authority, make_machine, names_of
from trajectories.errors import ConfigError


def run(config: DictConfig) -> None:
    """Make the authority, or the certificate of `config.machine`, and say what to do with it."""
    folder, names = Path(config.folder), config.names
    if isinstance(names, str) or not isinstance(names, Sequence):
        raise ConfigError(f"names={names!r} is expected to be a list, e.g. names=[gpu.lab.example,192.168.1.20]")
    if config.machine is None:
        if names:
            raise ConfigError("names belong to a machine: give machine=, too. An authority has none.")
        print(_of_authority(make_authority(folder, str(config.authority))))
        return
    files = make_machine(folder, str(config.machine), [str(name) for name in names])
    end = load_certificate(files.certificate).not_valid_after_utc
    where = files.certificate.parent
    print(
        f"{where}: certificate and key of {config.machine}, valid until {end:%Y-%m-%d}, reached as "
        f"{', '.join(names_of(files.certificate))}\n"
        f"Its SHA-256 fingerprint: {fingerprint(files.certificate)}\n"
        f"Copy that folder to {config.machine} over a safe way (scp -rp), and there add to learner, actor and watch:\n"
        f"  link.certificate=.../{files.certificate.name} link.key=.../{files.key.name} "
        f"link.authority=.../{files.authority.name}"
    )


def _of_authority(certificate: Path) -> str:
    end = load_certificate(certificate).not_valid_after_utc
    return (
        f"{certificate}: the authority, valid until {end:%Y-%m-%d}. Its key beside it never leaves this folder.\n"
        f"Its SHA-256 fingerprint: {fingerprint(certificate)}\n"
        f"Next, for each machine:  regrasp certificates folder={certificate.parent} machine=NAME names=[ADDRESS]"
    )
