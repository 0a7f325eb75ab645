"""Speed of the nn floor, ours and a peer's in one run: `python tests/benchmarks/bench_losses_and_maps.py`.

Times are medians of interleaved rounds, so that other work on the machine slows both alike. Ratios above 1 mean that
ours is faster.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from lightly.loss import NTXentLoss
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch.nn import functional

from careedu.nn.backbones import build_model
from careedu.nn.losses import nt_xent
from careedu.nn.maps import class_activation_map, normalize_map, resize_map


def seconds(calls: list[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each call; in every round each is called once."""
    taken: list[list[float]] = [[] for _ in calls]
    for round_ in range(rounds + 2):
        for call, times in zip(calls, taken, strict=True):
            start = time.perf_counter()
            call()
            if round_ >= 2:  # the first two warm up
                times.append(time.perf_counter() - start)
    return [statistics.median(times) for times in taken]


def contrastive(rounds: int) -> None:
    """NT-Xent of 512 pairs of 128 numbers, forward and backward."""
    z = torch.randn(2, 512, 128, requires_grad=True)
    peer = NTXentLoss(temperature=0.2)

    def run(loss: Callable[..., torch.Tensor]) -> None:
        torch.autograd.grad(loss(z[0], z[1]), z)

    ours, theirs = seconds([lambda: run(nt_xent), lambda: run(peer)], rounds)
    print(f"NT-Xent B=512           ours {ours * 1e3:8.2f} ms   lightly  {theirs * 1e3:8.2f} ms   ×{theirs / ours:.2f}")


def class_maps(rounds: int) -> None:
    """Maps of 16 grey images of 112² on ResNet-18, from the image to the map in image size."""
    model = build_model("resnet18", 4, 1).eval()
    images, labels = torch.rand(16, 1, 112, 112), torch.arange(16) % 4
    targets = [ClassifierOutputTarget(label) for label in labels.tolist()]

    def closed_form() -> torch.Tensor:
        with torch.inference_mode():
            maps = class_activation_map(model.features(images), model.head.weight[labels])
            return resize_map(normalize_map(maps), 112)

    with GradCAM(model=model, target_layers=[model.body]) as peer:

        def by_gradient() -> object:
            return peer(images, targets)

        # The peer's hooks stay in the network while ours runs: they only store the features.
        ours, theirs = seconds([closed_form, by_gradient], rounds)
    print(f"class maps 16×112²      ours {ours * 1e3:8.2f} ms   grad-cam {theirs * 1e3:8.2f} ms   ×{theirs / ours:.2f}")


def small_network(size: int, channels: int, rounds: int) -> None:
    """Training steps of the small network and, for scale, of ResNet-18: forward, backward, AdamW, batches of 32."""
    x, y = torch.rand(32, channels, size, size), torch.randint(0, 4, (32,))

    def training_step(name: str) -> Callable[[], None]:
        model = build_model(name, 4, channels)
        optimizer = torch.optim.AdamW(model.parameters())

        def step() -> None:
            optimizer.zero_grad()
            functional.cross_entropy(model(x), y).backward()
            optimizer.step()

        return step

    ours, theirs = seconds([training_step("small"), training_step("resnet18")], rounds)
    print(
        f"training {size:3d}² C={channels}         small {32 / ours:6.0f} img/s   resnet18 {32 / theirs:6.0f} img/s   "
        f"×{theirs / ours:.2f}"
    )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"torch {torch.__version__}, {arguments.threads} threads, median of {arguments.rounds} rounds")
    contrastive(arguments.rounds)
    class_maps(arguments.rounds)
    small_network(64, 3, arguments.rounds)
    small_network(112, 1, arguments.rounds)


if __name__ == "__main__":
    main()
