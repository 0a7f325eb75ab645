"""What the attention map costs: `python tests/benchmarks/bench_global_attention.py`.

Inference with a frozen map beside the plain network, and the plain network beside a copy of itself, whose ratio says
how well the machine can tell; and a training step, which computes the map from the training images' pixels and moves
it as the augmentation moves each image. Where the mean image is behind the map it is moved too; and in the map's own
stage the network rests.
"""

import argparse
import copy
from collections.abc import Callable
from dataclasses import replace

import torch
from figures import interleaved, tell_beside

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.methods.facts import TrainingFacts
from careedu.methods.global_attention import GlobalAttention
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import TrainedMethod
from careedu.nn.backbones import build_model
from careedu.training.batch import Batch


def show(what: str, plain: Callable[[], object], other: Callable[[], object], rounds: int, **more: float) -> None:
    """One line: a map's cost beside the plain network."""
    theirs, ours = interleaved([plain, other], rounds, warm=3)
    tell_beside(what, ours, "the plain network", theirs, "ms", **more)


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
        what = f"logits of {batch}×{channels}×{size}², {name}"
        show(f"{what}, with an attention map", of(network), of(masked), rounds, most=1.05)
        show(f"{what}, the mean image behind it", of(network), of(filled), rounds, most=1.05)
        show(f"{what}, a copy of the network", of(network), of(twin), rounds)


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
    what = f"a step of 32×1×{size}², N={n}"
    show(f"{what}, with an attention map", plain, step(GlobalAttention()), rounds)
    show(f"{what}, the mean image behind it", plain, step(GlobalAttention(fill="mean")), rounds)
    show(f"{what}, the map's own stage", plain, step(after, 1), rounds)
    show(f"{what}, a free mask's own stage", plain, step(replace(after, map="free"), 1), rounds)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    inference("small", 64, 1, 64, arguments.rounds)
    inference("small", 112, 3, 64, arguments.rounds)
    inference("resnet18", 112, 1, 16, arguments.rounds)
    training(5000, 64, arguments.rounds)


if __name__ == "__main__":
    main()
