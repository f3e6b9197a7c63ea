"""`ProcessGroup`: ranks that are processes of `torchrun`, over NCCL between GPUs and gloo between processors.

`DistributedDataParallel` doesn't fit updates that are pure functions of lists of tensors, compiled or captured whole
with their gradients, so what it does is done by hand: parameters are the first rank's at the start, and before every
step the gradients are averaged, all of them in one exchange.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # whose defaults would keep the group, and its threads, if it came after it
from torch import Tensor

from policies.common.launch import Launch
from policies.common.rank_watch import HANGS_S, LOST_S, RankWatch
from policies.common.ranks import ALONE, Ranks, Shared
from policies.common.tensor_file import digest
from trajectories.errors import CheckpointError, RankLostError

_LIMIT = timedelta(days=7)
"""Of one exchange: who is dead or hangs is found by `RankWatch`, which can say who it is."""


class ProcessGroup(Ranks):
    """One of several ranks. All of them have to call the same methods in the same order, from one thread each."""

    def __init__(self, rank: int, count: int, device: torch.device, watch: RankWatch) -> None:
        """Nobody is met yet; see `open_ranks`."""
        self.rank, self.count = rank, count
        self._device, self._watch = device, watch

    def meet(self, store: dist.Store) -> None:
        """Connect with the others: NCCL between GPUs, gloo between processors.

        Args:
            store: Reached by all of them.

        Raises:
            RankLostError: One of them is gone.
        """
        backend = "cpu:gloo,cuda:nccl" if self._device.type == "cuda" else "gloo"
        with self._together():
            dist.init_process_group(backend, store=store, rank=self.rank, world_size=self.count, timeout=_LIMIT)

    def average(self, tensors: Sequence[Tensor]) -> None:
        """See `Ranks.average`."""
        if not tensors:
            return
        flat = torch.cat([tensor.detach().reshape(-1).float() for tensor in tensors])
        with self._together():
            dist.all_reduce(flat)
        flat.div_(self.count)
        parts = flat.split([tensor.numel() for tensor in tensors])
        for tensor, part in zip(tensors, parts, strict=True):
            tensor.detach().copy_(part.view(tensor.shape))

    def exchange(self, rows: Tensor, sent: Sequence[int], received: Sequence[int]) -> Tensor:
        """See `Ranks.exchange`."""
        shape = rows.shape[1:]
        flat = rows.reshape(len(rows), shape.numel()).contiguous().view(torch.uint8)
        found = torch.empty((sum(received), flat.shape[1]), dtype=torch.uint8, device=rows.device)
        with self._together():
            dist.all_to_all_single(found, flat, list(received), list(sent))
        return found.view(rows.dtype).view(-1, *shape)

    def from_first(self, make: Callable[[], Shared | None]) -> Shared | None:
        """See `Ranks.from_first`."""
        if self.first:
            made = make()
            tensors = {} if made is None else {name: tensor.detach().cpu() for name, tensor in made[0].items()}
            self._send(made, tensors)
            return None if made is None else (tensors, made[1])
        head = json.loads(bytes(self._broadcast(None).tolist()))
        if head is None:
            return None
        received = {name: self._tensor(shape, kind) for name, shape, kind in head["tensors"]}
        return received, head["header"]

    def require_same(self, tensors: Mapping[str, Tensor], what: str) -> None:
        """See `Ranks.require_same`."""
        text = digest(tensors)
        mine = torch.tensor([int(text[i : i + 8], 16) for i in range(0, len(text), 8)], dtype=torch.int64)
        ends = torch.cat([mine, -mine]).to(self._device)
        with self._together():
            dist.all_reduce(ends, dist.ReduceOp.MAX)
        highest, lowest = ends[: len(mine)], -ends[len(mine) :]
        if not torch.equal(highest, lowest):
            raise CheckpointError(
                f"The {self.count} processes have drifted apart: {what} is not the same in all of them. Nothing was "
                "saved since the last checkpoint, from which the same command goes on. Are their machines alike, with "
                "the same versions and the same data?"
            )

    def alive(self) -> None:
        """See `Ranks.alive`."""
        self._watch.work()

    def _send(self, made: Shared | None, tensors: Mapping[str, Tensor]) -> None:
        rows = [(name, list(one.shape), str(one.dtype).removeprefix("torch.")) for name, one in tensors.items()]
        head = None if made is None else {"header": dict(made[1]), "tensors": rows}
        self._broadcast(torch.frombuffer(bytearray(json.dumps(head).encode()), dtype=torch.uint8))
        for tensor in tensors.values():
            if tensor.numel():
                with self._together():
                    dist.broadcast(tensor.contiguous().reshape(-1).view(torch.uint8).to(self._device), 0)

    def _broadcast(self, data: Tensor | None) -> Tensor:
        """Bytes of the first rank, which gives them, on every rank."""
        size = torch.tensor([0 if data is None else len(data)], device=self._device)
        with self._together():
            dist.broadcast(size, 0)
        given = torch.empty(int(size), dtype=torch.uint8) if data is None else data
        given = given.to(self._device)
        with self._together():
            dist.broadcast(given, 0)
        return given.cpu()

    def _tensor(self, shape: Sequence[int], kind: str) -> Tensor:
        """The next tensor that the first rank sends."""
        empty = torch.empty(shape, dtype=getattr(torch, kind))
        if not empty.numel():
            return empty
        data = torch.empty(empty.nbytes, dtype=torch.uint8, device=self._device)
        with self._together():
            dist.broadcast(data, 0)
        return data.cpu().view(empty.dtype).view(list(shape))

    @contextmanager
    def _together(self) -> Iterator[None]:
        """Around what needs all ranks.

        Raises:
            RankLostError: One of them is gone.
        """
        self._watch.begin()
        try:
            yield
        except RuntimeError as error:
            raise RankLostError(self._watch.explain(error)) from error
        finally:
            self._watch.end()


@contextmanager
def open_ranks(
    launch: Launch, device: torch.device | str, *, lost_s: float = LOST_S, hangs_s: float = HANGS_S
) -> Iterator[Ranks]:
    """The ranks of a training that `torchrun` has started, or the only process.

    Args:
        launch: Which process this is.
        device: Where this rank computes; NCCL for a GPU, gloo for the processor.
        lost_s: See `rank_watch.LOST_S`.
        hangs_s: See `rank_watch.HANGS_S`.

    Raises:
        RankLostError: Another process is gone.
    """
    if launch.count == 1:
        yield ALONE
        return
    device = torch.device(device)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    plain, rank, count = next(iter(dist.rendezvous("env://")))
    start = f"start {os.environ.get('TORCHELASTIC_RESTART_COUNT', 0)}"  # whose words are not those of the one before
    watch = RankWatch(dist.PrefixStore(f"{start}/beats", plain.clone()), rank, count, lost_s=lost_s, hangs_s=hangs_s)
    group = ProcessGroup(rank, count, device, watch)
    try:
        group.meet(dist.PrefixStore(start, plain))
        yield group
    except BaseException as error:
        watch.close(str(error) or "it was stopped.")
        raise
    watch.close()
    dist.destroy_process_group()
