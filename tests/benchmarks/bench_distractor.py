"""What the distractor's loss costs a training step: `python tests/benchmarks/bench_distractor.py`.

A step is forward, backward and AdamW of 32 images with the small network. Medians of interleaved rounds beside plain
cross-entropy's, so that other work on the machine slows all alike; ratios are medians of each round's own ratio. It
ends with an error where the method takes more than 1.10 times as long as cross-entropy.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.methods.distractor import RELEVANCES, DistractorAware
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import TrainedMethod
from careedu.nn.backbones import build_model
from careedu.training.batch import Batch

BOUND = 1.10


def stepper(method: TrainedMethod, train: LesionDataset) -> Callable[[], None]:
    """One step of the method after its warm-up, on the same rows each time."""
    facts = TrainingFacts(tuple(train.counts.tolist()), (2,), tuple(train.images.shape[1:]), train)
    model = method.network(build_model("small", 3, 3), facts).to(memory_format=torch.channels_last).train()
    (stage,) = method.all_stages(facts, 4)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    generator = torch.Generator().manual_seed(0)
    augmentation = Augmentation.named("any-orientation")

    def step() -> None:
        batch = Batch(train, torch.arange(32), augmentation, generator, progress=0.5)
        optimizer.zero_grad()
        sum(stage.updates[0].terms(model, batch).values()).backward()
        optimizer.step()

    return step


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} threads, median of {arguments.rounds} rounds")
    images = torch.randint(0, 256, (64, 3, arguments.size, arguments.size), dtype=torch.uint8)
    train = LesionDataset(images, torch.arange(64) % 3, ("a", "b", "c"))
    loss = CrossEntropy()
    methods = {"cross-entropy": loss} | {
        f"distractor, {which}": DistractorAware(loss, relevance=which) for which in RELEVANCES
    }
    steps = [stepper(method, train) for method in methods.values()]
    taken: list[list[float]] = [[] for _ in steps]
    for round_ in range(arguments.rounds + 3):
        for step, times in zip(steps, taken, strict=True):
            start = time.perf_counter()
            step()
            if round_ >= 3:  # the first three warm up
                times.append(time.perf_counter() - start)
    ratios = {}
    for name, times in zip(methods, taken, strict=True):
        ratios[name] = statistics.median(own / plain for own, plain in zip(times, taken[0], strict=True))
        print(f"{name:24s} {statistics.median(times) * 1e3:8.2f} ms   ratio {ratios[name]:.3f}")
    if ratios["distractor, wrong class"] > BOUND:
        raise SystemExit(f"a step takes more than {BOUND} times as long")


if __name__ == "__main__":
    main()
