"""Milliseconds of the image encoders on a batch of 256, forward and with the backward pass, beside their arithmetic.

    python benchmarks/encoders.py            a table for people
    python benchmarks/encoders.py --json     one JSON object on standard output

Images of one camera, uint8, 96 x 96 and 128 x 128, randomly shifted before the forward pass; the instruction enters by
FiLM. `cnn` is RoboFuME's, `cnn_stride2` the same with stride 2 in each layer, `resnet` the small residual network,
`clip` the embedded CLIP behind which an adapter is trained: its tower once a frame (forward), and the update from
stored maps (`clip_stored`), which does not depend on the image size. The floor is the number of operations of
convolutions and matrix products (two a multiply-add) over the best matrix-product rate of the same run. Each figure is
the best of its rounds: slower ones measure the machine's other work. `shift` is the augmentation alone, beside the
bilinear `grid_sample` that DrQ-v2's released code uses.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

sys.path.append(str(Path(__file__).resolve().parents[1]))

from benchmarks.timing import best_ms
from benchmarks.updates.arithmetic import matmul_rate
from policies.agent.allocator import keep_freed_memory
from policies.perception.encoders.augmentation import draw_offsets, shift
from policies.perception.encoders.config import ClipConfig, CnnConfig, EncoderConfig, Network, ResNetConfig
from policies.perception.encoders.encoder import Encoder

BATCH, COUNTED = 256, 4
PROPRIO, WORDS = 13, 128
SIZES = (96, 128)
NETWORKS: dict[str, Network] = {
    "cnn": CnnConfig(),
    "cnn_stride2": CnnConfig(strides=(2, 2, 2, 2)),
    "resnet": ResNetConfig(),
    "clip": ClipConfig(),
}
Work = Callable[[], Tensor]


def operations(work: Callable[[], object]) -> int:
    """Floating-point operations of convolutions and matrix products in one call."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def inputs(size: int, batch: int, device: torch.device) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Random images of a camera "front", proprioception and instruction embeddings."""
    images = torch.randint(0, 256, (batch, size, size, 3), dtype=torch.uint8, device=device)
    return {"front": images}, torch.randn(batch, PROPRIO, device=device), torch.randn(batch, WORDS, device=device)


def forward_and_backward(encoder: Encoder, forward: Work) -> Work:
    """The pass with the gradient of every trained weight."""

    def work() -> Tensor:
        encoder.zero_grad()
        features = forward()
        features.backward(features.detach())
        return features

    return work


def passes(encoder: Encoder, size: int, batch: int, device: torch.device) -> dict[str, Work]:
    """What is measured of an encoder: "forward" without a graph, and "both" passes where images are trained on."""
    images, proprio, code = inputs(size, batch, device)
    if encoder.tower is not None:
        seen = encoder.see(images)
        stored: Work = lambda: encoder.combine(seen, proprio, code)  # noqa: E731
        return {
            "forward": torch.no_grad()(lambda: encoder(images, proprio, code)),
            "stored_forward": torch.no_grad()(stored),
            "stored_both": forward_and_backward(encoder, stored),
        }
    offsets = encoder.draw(batch, torch.Generator(device=device))
    trained: Work = lambda: encoder(images, proprio, code, offsets)  # noqa: E731
    return {"forward": torch.no_grad()(trained), "both": forward_and_backward(encoder, trained)}


def encoders(sizes: tuple[int, ...], device: torch.device, rounds: int) -> dict[str, tuple[float, int]]:
    """Milliseconds and operations of each network, size and pass."""
    found = {}
    for size in sizes:
        for name, network in NETWORKS.items():
            torch.manual_seed(0)
            encoder = Encoder(EncoderConfig(network), {"front": (size, size)}, PROPRIO, WORDS).to(device)
            few = passes(encoder, size, COUNTED, device)
            for part, work in passes(encoder, size, BATCH, device).items():
                count = operations(few[part]) * BATCH // COUNTED
                found[f"{name}_{part}_{size}"] = (best_ms(work, device, rounds, warm=1), count)
    return found


def bilinear_shift(images: Tensor, offsets: Tensor, displacement: int) -> Tensor:
    """DrQ-v2's way: pad floats, sample bilinearly; float32 (B, 3, H, W)."""
    padded = functional.pad(images.permute(0, 3, 1, 2).float(), (displacement,) * 4, "replicate")
    size, whole = images.shape[1], padded.shape[-1]
    line = torch.linspace(-1 + 1 / whole, 1 - 1 / whole, whole, device=images.device)[:size]
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)
    moved = grid + (2.0 / whole * offsets.flip(1))[:, None, None]
    return functional.grid_sample(padded, moved, padding_mode="zeros", align_corners=False)


def shifts(sizes: tuple[int, ...], device: torch.device, rounds: int) -> dict[str, float]:
    """Milliseconds of both ways to shift a batch."""
    found = {}
    offsets = draw_offsets(1, BATCH, 4, torch.Generator(device=device))[0]
    for size in sizes:
        images = inputs(size, BATCH, device)[0]["front"]
        for name, way in {"shift": shift, "grid_sample": bilinear_shift}.items():
            call = partial(way, images, offsets, 4)
            found[f"{name}_{size}_ms"] = round(best_ms(call, device, 5 * rounds), 2)
    return found


def measure(sizes: tuple[int, ...], device: torch.device, rounds: int) -> dict[str, float | str]:
    """All figures."""
    rate = matmul_rate(device)
    found = encoders(sizes, device, rounds)
    rate = max(rate, matmul_rate(device))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    figures: dict[str, float | str] = {"device": name, "batch": BATCH, "matmul_gflop_per_s": round(rate / 1e9, 1)}
    for part, (milliseconds, count) in found.items():
        figures[f"{part}_ms"] = round(milliseconds, 2)
        figures[f"{part}_floor_ms"] = round(count / rate * 1e3, 2)
    return figures | shifts(sizes, device, rounds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--rounds", type=int, default=3, help="rounds that the best is taken of (default 3)")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES), help="image sides in pixels")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="torch device")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    keep_freed_memory()
    figures = measure(tuple(options.sizes), torch.device(options.device), options.rounds)
    if options.json:
        print(json.dumps(figures))
        return
    print(f"{figures['device']}: {figures['matmul_gflop_per_s']} GFLOP/s in matrix products; batch {BATCH}")
    print(f"{'milliseconds':32} {'measured':>9} {'floor':>9}  measured / floor")
    for name in [key.removesuffix("_floor_ms") for key in figures if key.endswith("_floor_ms")]:
        taken, floor = float(figures[f"{name}_ms"]), float(figures[f"{name}_floor_ms"])
        print(f"{name:32} {taken:9.1f} {floor:9.1f}  {taken / floor:.2f}")
    for name in [key for key in figures if key.startswith(("shift", "grid"))]:
        print(f"{name.removesuffix('_ms'):32} {figures[name]:9.1f}")


if __name__ == "__main__":
    main()
