"""What CARE's second stage costs a training step: `python tests/benchmarks/bench_care.py`.

A step is forward, backward and AdamW of 32 images of which two have a box, with the classification loss alone, with
CARE, and with CARE's map taken as its authors take it: a backward pass of its own from the class scores, with the graph
kept and extended, before the loss's. Times are medians of interleaved rounds, so that other work on the machine slows
all alike; ratios are to the classification loss, and medians of each round's own ratio.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.methods.boxes import inside_boxes
from careedu.methods.care import CARE, attention_loss
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import LogitAdjusted
from careedu.nn.backbones import build_model
from careedu.nn.maps import normalize_map, resize_map
from careedu.training.batch import Batch

FACTS = TrainingFacts(counts=(20, 10, 2), rare=(2,), image_shape=(3, 64, 64))


def rounds_of(calls: list[Callable[[], object]], rounds: int) -> list[list[float]]:
    """Seconds of each call in each round; in every round each is called once."""
    taken: list[list[float]] = [[] for _ in calls]
    for round_ in range(rounds + 2):
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            if round_ >= 2:  # the first two warm up
                times.append(time.perf_counter() - start)
    return taken


def made_up_batch(size: int) -> Batch:
    """32 images of noise, two of the rare class with a box."""
    labels = torch.cat([torch.zeros(20), torch.ones(10), torch.full((2,), 2)]).long()
    boxes = torch.full((32, 4), torch.nan)
    boxes[30:] = torch.tensor([0.25, 0.25, 0.6, 0.7]) * size
    images = torch.randint(256, (32, 3, size, size), dtype=torch.uint8)
    data = LesionDataset(images, labels, ("a", "b", "c"), boxes=boxes)
    return Batch(data, torch.arange(32), Augmentation(), torch.Generator().manual_seed(0))


def second_backward(model: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
    """CARE's loss with the map's weights from a backward pass that keeps and extends the graph."""
    features = model.features(batch.inputs)
    logits = model.head(model.pool(features))
    loss = LogitAdjusted().loss(logits, batch.labels, FACTS, 0.0)
    score = logits.gather(1, batch.labels[:, None]).sum()
    (gradient,) = torch.autograd.grad(score, features, create_graph=True, retain_graph=True)
    maps = (gradient.mean(dim=(2, 3), keepdim=True).detach() * features).sum(dim=1)
    inside = inside_boxes(batch.boxes, batch.image_size)
    losses = attention_loss(resize_map(normalize_map(maps), batch.image_size), inside)
    return {"classification": 0.5 * loss, "attention": 0.5 * losses.mean()}


def backward_to_the_input(model: torch.nn.Module, batch: Batch) -> dict[str, Tensor]:
    """The same, where the extra pass runs through the whole network and leaves its gradients, as `.backward()` does."""
    features = model.features(batch.inputs)
    features.retain_grad()
    logits = model.head(model.pool(features))
    loss = LogitAdjusted().loss(logits, batch.labels, FACTS, 0.0)
    logits.gather(1, batch.labels[:, None]).sum().backward(retain_graph=True)
    maps = (features.grad.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)
    model.zero_grad()
    inside = inside_boxes(batch.boxes, batch.image_size)
    losses = attention_loss(resize_map(normalize_map(maps), batch.image_size), inside)
    return {"classification": 0.5 * loss, "attention": 0.5 * losses.mean()}


def training_steps(name: str, size: int, rounds: int) -> None:
    """Print one network's times and ratios."""
    batch = made_up_batch(size)

    def step_of(terms: Callable) -> Callable[[], None]:
        model = build_model(name, 3, 3)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

        def step() -> None:
            loss = sum(terms(model, batch).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

        return step

    ways = {
        "classification": LogitAdjusted().terms(FACTS),
        "CARE, closed form": CARE().terms(FACTS),
        "extra grad to features": second_backward,
        "extra backward, whole": backward_to_the_input,
    }
    taken = rounds_of([step_of(terms) for terms in ways.values()], rounds)
    for way, times in zip(ways, taken, strict=True):
        ratio = statistics.median(t / base for t, base in zip(times, taken[0], strict=True))
        print(f"{name:9} {size:3d}²  {way:24} {statistics.median(times) * 1e3:8.2f} ms   ×{ratio:.3f}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} threads, median of {arguments.rounds} rounds")
    training_steps("small", 64, arguments.rounds)
    training_steps("resnet18", 112, arguments.rounds)


if __name__ == "__main__":
    main()
