"""What CARE's second stage costs a training step: `python tests/benchmarks/bench_care.py`.

A step is forward, backward and AdamW of 32 images of which two have a box, with the classification loss alone, with
CARE, and with CARE's map taken as its authors take it: a backward pass of its own from the class scores, with the graph
kept and extended, before the loss's.
"""

import argparse
from collections.abc import Callable

import torch
from figures import interleaved, tell_beside
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
        "map by an extra grad to the features": second_backward,
        "map by a whole extra backward": backward_to_the_input,
    }
    plain, ours, *theirs = interleaved([step_of(terms) for terms in ways.values()], rounds)
    what = f"a step of CARE, {name}, {size}²"
    tell_beside(what, ours, "classification loss alone", plain, "ms", most=1.05)
    for way, times in zip(list(ways)[2:], theirs, strict=True):
        tell_beside(what, ours, way, times, "ms", most=1.0 if "whole" in way else 1.1)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    training_steps("small", 64, arguments.rounds)
    training_steps("resnet18", 112, arguments.rounds)


if __name__ == "__main__":
    main()
