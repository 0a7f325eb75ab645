"""Speed of the nn floor, ours and its peers' in one run: `python tests/benchmarks/bench_losses_and_maps.py`."""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from figures import interleaved, tell_beside
from lightly.loss import NTXentLoss
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from pytorch_metric_learning.losses import NTXentLoss as TheirNTXentLoss
from pytorch_metric_learning.losses import SelfSupervisedLoss
from torch.nn import functional

from careedu.nn.backbones import build_model
from careedu.nn.losses import nt_xent
from careedu.nn.maps import class_activation_map, normalize_map, resize_map


def contrastive(rounds: int) -> None:
    """NT-Xent of pairs of 128 numbers, forward and backward."""
    peers = {
        "lightly": (512, NTXentLoss(temperature=0.2)),
        # Which takes any pairs, and holds each positive one against each negative one: a minute for 512.
        "pytorch-metric-learning": (128, SelfSupervisedLoss(TheirNTXentLoss(temperature=0.2))),
    }
    for name, (pairs, peer) in peers.items():
        z = torch.randn(2, pairs, 128, requires_grad=True)

        def run(loss: Callable[..., torch.Tensor], z: torch.Tensor = z) -> None:
            torch.autograd.grad(loss(z[0], z[1]), z)

        ours, theirs = interleaved([partial(run, nt_xent), partial(run, peer)], rounds)
        tell_beside(f"NT-Xent of {pairs} pairs", ours, name, theirs, "ms", most=0.5)


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
        ours, theirs = interleaved([closed_form, by_gradient], rounds)
    tell_beside("class maps of 16 images of 112², resnet18", ours, "grad-cam", theirs, "ms", most=0.5)


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

    ours, theirs = interleaved([training_step("small"), training_step("resnet18")], rounds)
    tell_beside(f"a step of the small network, 32×{channels}×{size}²", ours, "resnet18", theirs, "ms")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    contrastive(arguments.rounds)
    class_maps(arguments.rounds)
    small_network(64, 3, arguments.rounds)
    small_network(112, 1, arguments.rounds)


if __name__ == "__main__":
    main()
