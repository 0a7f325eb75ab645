"""What the distractor's loss costs a training step: `python tests/benchmarks/bench_distractor.py`.

A step is forward, backward and AdamW of 32 images with the small network, beside plain cross-entropy's.
"""

import argparse
from collections.abc import Callable

import torch
from figures import interleaved, tell_beside

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
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--size", type=int, default=64)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    images = torch.randint(0, 256, (64, 3, arguments.size, arguments.size), dtype=torch.uint8)
    train = LesionDataset(images, torch.arange(64) % 3, ("a", "b", "c"))
    loss = CrossEntropy()
    methods = {"cross-entropy": loss} | {
        f"distractor, {which}": DistractorAware(loss, relevance=which) for which in RELEVANCES
    }
    steps = [stepper(method, train) for method in methods.values()]
    plain, *others = interleaved(steps, arguments.rounds, warm=3)
    for name, times in zip(list(methods)[1:], others, strict=True):
        bound = BOUND if name == "distractor, wrong class" else None
        tell_beside(f"a step of {name}", times, "cross-entropy", plain, "ms", most=bound)


if __name__ == "__main__":
    main()
