"""`Calls`: what a learner answers, over one connection."""

from __future__ import annotations

import grpc

from robot.link import protocol


class Calls:
    """A channel to the learner, and the calls on it; it connects with the first of them, and again when it broke.

    Attributes:
        hello, put, put_verdict, weights, may_act, report, finished: gRPC's callables: bytes or pieces, deadline in s,
            metadata.
    """

    def __init__(self, address: str, credentials: grpc.ChannelCredentials) -> None:
        """Prepare; nothing is sent.

        Args:
            address: "host:port".
            credentials: Of this machine, and of which authority the learner has to be.
        """
        self._channel = channel = grpc.secure_channel(address, credentials, protocol.CHANNEL_OPTIONS)
        self.hello = channel.unary_unary(protocol.method(protocol.HELLO))
        self.put = channel.stream_unary(protocol.method(protocol.PUT_EPISODE))
        self.put_verdict = channel.unary_unary(protocol.method(protocol.PUT_VERDICT))
        self.weights = channel.unary_stream(protocol.method(protocol.WEIGHTS))
        self.may_act = channel.unary_unary(protocol.method(protocol.MAY_ACT))
        self.report = channel.unary_unary(protocol.method(protocol.REPORT))
        self.finished = channel.unary_unary(protocol.method(protocol.FINISHED))

    def close(self) -> None:
        """End the connection, and the calls that are under way."""
        self._channel.close()
