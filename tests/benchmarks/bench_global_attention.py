"""What the attention map costs: `python tests/benchmarks/bench_global_attention.py`.

Inference with a frozen map beside the plain network, and the plain network beside a copy of itself, whose ratio says
how well the machine can tell; and a training step, which computes the map from the training images' pixels and moves
it as the augmentation moves each image. Where the mean image is behind the map it is moved too; and in the map's own
stage the network rests. Times are medians of interleaved rounds, so that other work on the machine
slows both alike; the ratio is the median of the rounds' ratios. A ratio of 1.02 means 2 % slower than the plain one.
"""

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.methods.facts import TrainingFacts
from careedu.methods.global_attention import GlobalAttention
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import TrainedMethod
from careedu.nn.backbones import build_model
from careedu.training.batch import Batch


def compare(plain: Callable[[], object], ours: Callable[[], object], rounds: int) -> tuple[float, float, float]:
    """Median seconds of each, and the median ratio ours / plain; who goes first alternates."""
    taken: dict[Callable[[], object], list[float]] = {plain: [], ours: []}
    for round_ in range(rounds + 3):
        for call in (plain, ours) if round_ % 2 else (ours, plain):
            start = time.perf_counter()
            call()
            if round_ >= 3:  # the first ones warm up
                taken[call].append(time.perf_counter() - start)
    ratios = [b / a for a, b in zip(taken[plain], taken[ours], strict=True)]
    return statistics.median(taken[plain]), statistics.median(taken[ours]), statistics.median(ratios)


def show(what: str, figures: tuple[float, float, float]) -> None:
    """One line."""
    plain, ours, ratio = figures
    print(f"{what:38s} plain {plain * 1e3:8.2f} ms   other {ours * 1e3:8.2f} ms   ratio {ratio:.3f}", flush=True)


def inference(name: str, size: int, channels: int, batch: int, rounds: int) -> None:
    """Logits of one batch."""
    network = build_model(name, 3, channels).eval()
    images = torch.rand(batch, channels, size, size).contiguous(memory_format=torch.channels_last)
    facts = TrainingFacts((1, 1, 1), (2,), (channels, size, size))
    twin = copy.deepcopy(network)
    masked = GlobalAttention().wrap(copy.deepcopy(network), facts).eval()
    filled = copy.deepcopy(masked)
    filled.before.behind = torch.rand(channels, size, size)

    def of(model: torch.nn.Module) -> Callable[[], object]:
        return lambda: model(images)

    with torch.inference_mode():
        what = f"{name} {batch}×{channels}×{size}²"
        show(f"inference {what}", compare(of(network), of(masked), rounds))
        show("  the mean image behind", compare(of(network), of(filled), rounds))
        show(f"  a copy of {what}", compare(of(network), of(twin), rounds))


def training(n: int, size: int, rounds: int) -> None:
    """A step on a batch of 32 grey images with the small network: augmentation, forward, backward, AdamW."""
    data = LesionDataset(
        torch.randint(0, 256, (n, 1, size, size), dtype=torch.uint8), torch.arange(n) % 3, classes=("a", "b", "c")
    )
    facts = TrainingFacts(tuple(data.counts.tolist()), (2,), (1, size, size), data)

    def step(method: TrainedMethod, which: int = 0) -> Callable[[], None]:
        network = method.wrap(build_model("small", 3, 1), facts)
        stage = method.stages(facts, 1)[which]
        if stage.trainable is not None:
            stage.begin(network.requires_grad_(False).eval())
        moving = [p for name, p in network.named_parameters() if name.startswith(stage.trainable or "")]
        for parameter in moving:
            parameter.requires_grad_(True)
        optimizer = torch.optim.AdamW(moving, fused=True)
        generator = torch.Generator().manual_seed(0)
        terms = stage.updates[0].terms

        def once() -> None:
            optimizer.zero_grad()
            batch = Batch(data, torch.arange(32), Augmentation.named("upright"), generator)
            sum(terms(network, batch).values()).backward()
            optimizer.step()

        return once

    plain, after = step(CrossEntropy()), GlobalAttention(order="after", fill="mean")
    show(f"training small 32×1×{size}², N={n}", compare(plain, step(GlobalAttention()), rounds))
    show("  the mean image behind", compare(plain, step(GlobalAttention(fill="mean")), rounds))
    show("  the map's own stage", compare(plain, step(after, 1), rounds))
    show("  a free mask's own stage", compare(plain, step(replace(after, map="free"), 1), rounds))


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} threads, median of {arguments.rounds} rounds")
    inference("small", 64, 1, 64, arguments.rounds)
    inference("small", 64, 3, 64, arguments.rounds)
    inference("small", 112, 1, 64, arguments.rounds)
    inference("small", 112, 3, 64, arguments.rounds)
    inference("resnet18", 112, 1, 16, arguments.rounds)
    training(500, 64, arguments.rounds)
    training(5000, 64, arguments.rounds)


if __name__ == "__main__":
    main()
