"""What a training costs beside the least that it could, beside a loop written by hand, and beside Lightning.

    python tests/benchmarks/bench_fit.py [rounds]

All train the small network for 8 epochs of 425 images of 64², the same updates in the same batches. The floor is
forward, backward and update alone, on batches that are ready; then with what nobody can save who validates after each
epoch and tests at the end, the network's forward over these images. The loop by hand augments as we do and tests once
at the end. Lightning reads images from a DataLoader, augments one by one as torchvision does, and validates after each
epoch. Ours augments, validates, records probability and class map of the probed images after each epoch, and tests. All
run in turn within each round.
"""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Iterable

import pytorch_lightning
import torch
from figures import interleaved, tell_beside
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2

import careedu
from careedu.nn.backbones import build_model
from careedu.training.batch import unit_range

EPOCHS, BATCH = 8, 32
RATE, DECAY = 3e-3, 0.05


class Bare:
    """Network, optimiser and schedule of a training by hand."""

    def __init__(self, data: careedu.Splits) -> None:
        torch.manual_seed(0)
        self.train, self.batches = data.train, -(-len(data.train) // BATCH)
        model = build_model("small", len(data.classes), self.train.images.shape[1])
        model.standardize_by(self.train.images)
        self.model = model.to(memory_format=torch.channels_last).train()
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
        updates = EPOCHS * self.batches
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(self.optimizer, RATE, total_steps=updates)

    def rows(self, generator: torch.Generator) -> tuple[Tensor, ...]:
        """The batches of an epoch."""
        return torch.tensor_split(torch.randperm(len(self.train), generator=generator), self.batches)

    def step(self, images: Tensor, labels: Tensor) -> None:
        """Forward, backward and update."""
        loss = functional.cross_entropy(self.model(images), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()


def floor(data: careedu.Splits, evaluated: bool) -> Callable[[], None]:
    """Forward, backward and update on images that are ready; where `evaluated`, validation and test too."""
    bare, generator = Bare(data), torch.Generator().manual_seed(0)
    every = [(unit_range(data.train.images[rows]), data.train.labels[rows]) for rows in bare.rows(generator)]
    validation, test = (unit_range(part.images).split(64) for part in (data.val, data.test))

    def forward(chunks: Iterable[Tensor]) -> None:
        bare.model.eval()
        with torch.inference_mode():
            torch.cat([bare.model(chunk).softmax(1) for chunk in chunks])
        bare.model.train()

    def run() -> None:
        for _ in range(EPOCHS):
            for images, labels in every:
                bare.step(images, labels)
            if evaluated:
                forward(validation)
        if evaluated:
            forward(test)

    bare.schedule.step = lambda: None  # it is run more often than a schedule lasts
    return run


def by_hand(data: careedu.Splits) -> None:
    """The loop that one would write, with the same augmentation, and a test at the end."""
    bare, generator = Bare(data), torch.Generator().manual_seed(0)
    augmentation = careedu.Augmentation.named(data.augmentation)
    for _ in range(EPOCHS):
        for rows in bare.rows(generator):
            draw = augmentation.draw(len(rows), tuple(data.train.images.shape[2:]), generator)
            images = draw.images(unit_range(data.train.images[rows]))
            bare.step(images.contiguous(memory_format=torch.channels_last), data.train.labels[rows])
    bare.model.eval()
    with torch.inference_mode():
        torch.cat([bare.model(unit_range(chunk)).softmax(1) for chunk in data.test.images.split(256)])


class Images(Dataset):
    """A part of the data, image by image, as a DataLoader takes it."""

    def __init__(self, part: careedu.LesionDataset, transform: nn.Module) -> None:
        self.part, self.transform = part, transform

    def __len__(self) -> int:
        return len(self.part)

    def __getitem__(self, row: int) -> tuple[Tensor, Tensor]:
        return self.transform(self.part.images[row]), self.part.labels[row]


class Lit(pytorch_lightning.LightningModule):
    """The same training for Lightning."""

    def __init__(self, data: careedu.Splits) -> None:
        super().__init__()
        bare = Bare(data)
        self.model, self.optimizer, self.schedule = bare.model, bare.optimizer, bare.schedule

    def training_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        return functional.cross_entropy(self.model(batch[0]), batch[1])

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        self.log("accuracy", (self.model(batch[0]).argmax(1) == batch[1]).float().mean())

    def predict_step(self, batch: tuple[Tensor, Tensor], number: int) -> Tensor:
        return self.model(batch[0]).softmax(1)

    def configure_optimizers(self) -> tuple[list, list]:
        return [self.optimizer], [{"scheduler": self.schedule, "interval": "step"}]


def lightning(data: careedu.Splits) -> None:
    """With what torchvision has for the same augmentation, and neither class maps nor checkpoints."""
    plain = v2.ToDtype(torch.float32, scale=True)
    moved = v2.RandomAffine(15, translate=(0.06, 0.06), scale=(0.9, 1.1), interpolation=v2.InterpolationMode.BILINEAR)
    flips = v2.RandomHorizontalFlip(), v2.RandomVerticalFlip()
    augmented = v2.Compose([plain, *flips, moved, v2.ColorJitter(brightness=0.08, contrast=0.15)])
    load = {"batch_size": BATCH, "num_workers": 0}
    trainer = pytorch_lightning.Trainer(
        max_epochs=EPOCHS, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    model = Lit(data)
    validation, test = (DataLoader(Images(part, plain), **load) for part in (data.val, data.test))
    trainer.fit(model, DataLoader(Images(data.train, augmented), shuffle=True, **load), validation)
    trainer.predict(model, test)


def ours(data: careedu.Splits) -> None:
    """The same through `careedu.fit`, with validation and probe maps after each epoch."""
    careedu.fit(data, "cross-entropy", epochs=EPOCHS, batch_size=BATCH, device="cpu", progress=False)


def main() -> None:
    """Print ours beside each."""
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    data = careedu.load("phantom-skin", imbalance=10)
    floors = [floor(data, evaluated) for evaluated in (False, True)]
    ways = [lambda: ours(data), *floors, lambda: by_hand(data), lambda: lightning(data)]
    mine, *others = interleaved(ways, rounds)
    what = f"training, {EPOCHS} epochs of {len(data.train)} images of 64²"
    peers = {
        "forward, backward and update alone": 1.12,
        "these, and the forward of validation and test": 1.12,
        "a loop by hand": 1.05,
        "Lightning with a DataLoader": 1.0,
    }
    for (peer, bound), times in zip(peers.items(), others, strict=True):
        tell_beside(what, mine, peer, times, "s", most=bound)


if __name__ == "__main__":
    main()
