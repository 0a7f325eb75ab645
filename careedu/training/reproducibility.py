"""Where randomness comes from, and on what a training runs: the same seed on the same machine gives the same bits."""

import contextlib
import platform
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version

import numpy as np
import torch

from careedu.errors import InvalidInputError, check_known, unknown_name

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "float16")


def derive_seed(seed: int, *path: int) -> int:
    """A seed for one purpose, a function of the main seed and of the purpose's numbers alone.

    Because nothing depends on what was drawn before, an interrupted training needs no generator's state to go on.
    """
    # The length goes in too: numpy takes (1, 0) and (1, 0, 0) for the same.
    return int(np.random.SeedSequence([seed, len(path), *path]).generate_state(1, np.uint64)[0] >> 1)


def choose_device(name: str) -> torch.device:
    """The device called `name`; "auto" takes CUDA, then Apple's MPS, then the CPU."""
    kind = str(name).split(":")[0]
    if kind not in DEVICES:
        raise unknown_name("device", name, DEVICES)
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if kind == "auto":
        return torch.device(next(candidate for candidate in ("cuda", "mps", "cpu") if available[candidate]))
    if not available[kind]:
        raise InvalidInputError(f'device={name!r} is not available on this machine; use device="auto"')
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> str:
    """The number format that convolutions run in.

    "auto" is float32 on a CPU and on MPS; on CUDA bfloat16 where the card computes in it, else float16 (with scaled
    gradients). Weights are float32 everywhere.
    """
    check_known("precision", name, PRECISIONS)
    if name != "auto":
        return name
    if device.type != "cuda":
        return "float32"
    return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"


@contextlib.contextmanager
def autocast(device: torch.device, precision: str) -> Iterator[None]:
    """Mixed precision for what runs inside; nothing for float32."""
    if precision == "float32":
        yield
        return
    with torch.autocast(device.type, dtype=getattr(torch, precision)):
        yield
    # Torch does so by itself, but not inside an autocast of the caller's: weights of the last batch would stay.
    torch.clear_autocast_cache()


_version_of = cache(version)  # a file is parsed for it, and what is installed does not change while we run


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    names = ("careedu", "torch", "torchvision", "numpy", "scikit-learn")
    return {"python": platform.python_version(), **{name: _version_of(name) for name in names}}
