"""Errors across the link: what the endpoint raised at the server is raised again, by type, at the client."""

from __future__ import annotations

import json

import trajectories.errors as tree
from trajectories.errors import LinkError, RegraspError

_MAX_MESSAGE = 2000  # gRPC limits trailing metadata to a few kB


class HelloNeeded(LinkError):
    """This server process has not checked this client: it must say hello (again)."""


_BY_NAME: dict[str, type[RegraspError]] = {
    kind.__name__: kind
    for kind in (*vars(tree).values(), HelloNeeded)
    if isinstance(kind, type) and issubclass(kind, RegraspError)
}


def to_wire(error: Exception) -> bytes:
    """Type and message as JSON; anything that is not one of the project's errors becomes a `LinkError`."""
    if isinstance(error, RegraspError):
        kind = next(c.__name__ for c in type(error).__mro__ if c.__name__ in _BY_NAME)
        text = str(error)
    else:
        kind = LinkError.__name__
        text = (
            f"the server failed while answering ({type(error).__name__}: {error}). "
            "Its log has the details; restart it once the cause is gone."
        )
    return json.dumps({"type": kind, "message": text[:_MAX_MESSAGE]}).encode()


def from_wire(raw: bytes) -> RegraspError:
    """The error that `to_wire` was given; a `LinkError` when `raw` is not one."""
    try:
        values = json.loads(raw)
        return _BY_NAME[values["type"]](str(values["message"]))
    except (ValueError, KeyError, TypeError, RecursionError):
        return LinkError(f"the server refused with an answer that is not Regrasp's: {raw[:200]!r}")
