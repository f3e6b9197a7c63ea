"""Say why TLS between this machine and a server doesn't come about: whose certificate is refused, by whom, and why."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from robot.link.tls import TlsFiles, split_address

_TIMEOUT_S = 2.0


def why_refused(address: str, files: TlsFiles) -> str | None:
    """Connect once more, to look, and say what is wrong with a certificate; None where nothing is, or nobody answers.

    Nothing but TLS is spoken, and this machine's certificate is only shown to a server whose own one is in order.

    Args:
        address: "host:port".
        files: Of this machine.
    """
    host, port = split_address(address)
    try:
        theirs = _shown_by(host, port)
        authority = x509.load_pem_x509_certificate(Path(files.authority).read_bytes())
        if fault := _fault_of(theirs, authority, host):
            return f"it shows {described(theirs)}; {fault}"
        if not _refuses(host, port, files):
            return None
        mine = x509.load_pem_x509_certificate(Path(files.certificate).read_bytes())
    except (OSError, ValueError):
        return None
    fault = _fault_of(mine, authority) or "it is of another authority than is expected there, or a clock is wrong"
    return f"it refuses {described(mine)}, from {files.certificate}; {fault}"


def described(certificate: x509.Certificate) -> str:
    """Whose a certificate is, whose authority's, and from when until when it is valid, for people."""
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return (
        f"the certificate of {name_of(certificate.subject)!r} issued by {name_of(certificate.issuer)!r}, valid from "
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M} UTC"
    )


def name_of(name: x509.Name) -> str:
    """The common name, or all there is where there is none."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _shown_by(host: str, port: int) -> x509.Certificate:
    """The certificate that a server shows to everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    with (
        socket.create_connection((host, port), _TIMEOUT_S) as connection,
        context.wrap_socket(connection, server_hostname=host) as secure,
    ):
        return x509.load_der_x509_certificate(secure.getpeercert(binary_form=True) or b"")


def _fault_of(certificate: x509.Certificate, authority: x509.Certificate, host: str | None = None) -> str | None:
    """Why who expects `authority` and, of a server, the name `host` refuses a certificate; None where nobody should."""
    try:
        if certificate != authority:  # the pair of a run is its own authority
            certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return f"expected one issued by the authority {described(authority)}"
    now = datetime.now(UTC)
    if certificate.not_valid_after_utc <= now:
        return f"it is over: make a new one with `regrasp certificates` (this computer's clock: {now:%Y-%m-%d %H:%M})"
    if certificate.not_valid_before_utc > now:
        return f"it isn't valid yet: is a clock wrong? This computer's says {now:%Y-%m-%d %H:%M}"
    if host is None:
        return None
    with suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        every = [str(one.value) for one in names]
        if host.lower() not in (one.lower() for one in every):
            return f"it is for {', '.join(every)}, not for {host}"
    return None


def _refuses(host: str, port: int, files: TlsFiles) -> bool:
    """Whether a server, whose own certificate is in order, ends the connection when it has seen this machine's."""
    context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=str(files.authority))
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), _TIMEOUT_S) as connection,
            context.wrap_socket(connection, server_hostname=host) as secure,
        ):
            return not secure.recv(1)  # with TLS 1.3 it judges after the handshake; gRPC speaks first where it lets in
    except (ssl.SSLError, ConnectionResetError, BrokenPipeError):
        return True
