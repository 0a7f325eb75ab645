"""What pretraining and mask attention cost: `python tests/benchmarks/bench_deep_pneumonia.py`.

Memory of NT-Xent of 4096 pairs, forward and backward, beside lightly's, each in a process of its own, as the growth of
its peak; and steps of forward, backward and AdamW beside plain cross-entropy's.
"""

import argparse
import subprocess
import sys
from collections.abc import Callable

import torch
from figures import interleaved, tell, tell_beside

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import LesionDataset
from careedu.methods.deep_pneumonia import DeepPneumonia
from careedu.methods.facts import TrainingFacts
from careedu.methods.imbalance import CrossEntropy
from careedu.methods.method import TrainedMethod
from careedu.methods.simclr import SimCLR
from careedu.nn.backbones import build_model
from careedu.training.batch import Batch

MEMORY = """
import resource, sys, torch
from {module} import {name}
torch.manual_seed(0)
torch.set_num_threads(2)
loss = {call}
def step(pairs):
    z = torch.randn(2, pairs, 128, requires_grad=True)
    torch.autograd.grad(loss(z[0], z[1]), z)
step(8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
step(4096)
print(1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before))
"""


def memory(module: str, name: str, call: str) -> float:
    """Bytes by which the peak grows."""
    source = MEMORY.format(module=module, name=name, call=call)
    return float(subprocess.run([sys.executable, "-c", source], check=True, capture_output=True, text=True).stdout)


def train_set(n: int, size: int) -> LesionDataset:
    """Grey noise, every image with a lesion."""
    masks = torch.zeros(n, size, size, dtype=torch.bool)
    masks[:, 10:22, 30:44] = True
    images = torch.randint(0, 256, (n, 1, size, size), dtype=torch.uint8)
    return LesionDataset(images, torch.arange(n) % 3, ("a", "b", "c"), masks=masks)


def stepper(method: TrainedMethod, train: LesionDataset, stage: int, rows: int) -> Callable[[], None]:
    """One step of a stage of a method, on the same rows each time."""
    facts = TrainingFacts(tuple(train.counts.tolist()), (2,), tuple(train.images.shape[1:]), train)
    model = method.network(build_model("small", 3, 1), facts).to(memory_format=torch.channels_last).train()
    declared = method.all_stages(facts, 4)[stage]
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    generator = torch.Generator().manual_seed(0)
    augmentation = declared.augmentation or Augmentation.named("upright")

    def step() -> None:
        batch = Batch(train, torch.arange(rows), augmentation, generator)
        optimizer.zero_grad()
        sum(declared.updates[0].terms(model, batch).values()).backward()
        optimizer.step()

    return step


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    ours = memory("careedu.nn.contrastive", "nt_xent", "nt_xent")
    theirs = memory("lightly.loss", "NTXentLoss", "NTXentLoss(temperature=0.2)")
    tell("memory of NT-Xent of 4096 pairs", ours, "GB", most=1.5)
    tell("memory of NT-Xent of 4096 pairs", ours, "GB", peer="lightly", theirs=theirs, ratio=ours / theirs, most=1.0)
    train = train_set(256, 64)
    methods = {
        "cross-entropy, 32 images": (CrossEntropy(), 32),
        "all parts but pretraining": (DeepPneumonia(pretrain=None), 32),
        "attention without masks": (DeepPneumonia(masks="none", pretrain=None), 32),
        "pretraining, 128 images": (SimCLR(), 128),
    }
    steps = [stepper(method, train, 0, rows) for method, rows in methods.values()]
    plain, *others = interleaved(steps, arguments.rounds)
    for name, times in zip(list(methods)[1:], others, strict=True):
        tell_beside(f"a step of Deep Pneumonia, {name}", times, "cross-entropy, 32 images", plain, "ms")


if __name__ == "__main__":
    main()
