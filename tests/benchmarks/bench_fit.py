"""What the training loop costs beside a bare PyTorch loop over the same tensors, network and augmentation.

    python tests/benchmarks/bench_fit.py [rounds]

Both train the same number of updates on phantom-skin, in turn within each round; the bare loop neither validates nor
records nor checks anything. CPU seconds are compared, which a busy machine disturbs less than the clock.
"""

from __future__ import annotations

import statistics
import sys
from time import process_time

import torch

import careedu
from careedu.nn.backbones import build_model
from careedu.training.batch import unit_range

EPOCHS, BATCH = 5, 32


def bare(data: careedu.Splits) -> None:
    """The loop that one would write by hand, with the same augmentation and test at the end."""
    torch.manual_seed(0)
    train, test = data.train, data.test
    model = build_model("small", len(data.classes), train.images.shape[1]).to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05, fused=True)
    updates = EPOCHS * -(-len(train) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=updates)
    augmentation = careedu.Augmentation.named(data.augmentation)
    generator = torch.Generator().manual_seed(0)
    for _ in range(EPOCHS):
        model.train()
        order = torch.randperm(len(train), generator=generator)
        for rows in torch.tensor_split(order, updates // EPOCHS):
            draw = augmentation.draw(len(rows), tuple(train.images.shape[2:]), generator)
            images = draw.images(unit_range(train.images[rows])).contiguous(memory_format=torch.channels_last)
            loss = torch.nn.functional.cross_entropy(model(images), train.labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()
    with torch.inference_mode():
        torch.cat([model(unit_range(chunk)).softmax(1) for chunk in test.images.split(256)])


def ours(data: careedu.Splits) -> None:
    """The same through `careedu.fit`, with validation and probe maps after each epoch."""
    careedu.fit(data, "cross-entropy", epochs=EPOCHS, batch_size=BATCH, device="cpu", progress=False)


def seconds(function, data: careedu.Splits) -> float:
    """CPU seconds of one call."""
    started = process_time()
    function(data)
    return process_time() - started


def main() -> None:
    """Print ours, the bare loop and their ratio."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    data = careedu.load("phantom-skin", largest=300)  # 900 images in training, 120 in validation
    for function in (bare, ours):
        function(data)
    pairs = [(seconds(ours, data), seconds(bare, data)) for _ in range(rounds)]
    ratios = [mine / theirs for mine, theirs in pairs]
    print(f"careedu.fit, {EPOCHS} epochs of 900 images: {statistics.median(m for m, _ in pairs):.2f} CPU s")
    print(f"bare loop:                            {statistics.median(t for _, t in pairs):.2f} CPU s")
    print(f"ratio: median {statistics.median(ratios):.3f}, from {min(ratios):.3f} to {max(ratios):.3f} (bound: 1.05)")


if __name__ == "__main__":
    main()
