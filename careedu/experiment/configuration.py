"""What a run depends on: every setting written down, and the key under which the same run is found again."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from careedu.data.augmentation import Augmentation
from careedu.data.dataset import Splits
from careedu.data.digest import digest
from careedu.data.folder import squeezed
from careedu.data.load import load
from careedu.errors import InvalidInputError, check_known, check_number
from careedu.methods.building import build_method
from careedu.methods.method import Method, UntrainedMethod
from careedu.training.loop import REVISION
from careedu.training.reproducibility import choose_device, choose_precision, versions

if TYPE_CHECKING:
    from careedu.experiment.run import Run


@dataclass(frozen=True)
class Settings:
    """Settings of the one training loop: the options of `careedu.fit`. A new one is added here and used in the loop.

    Parameters
    ----------
    model : str
        A name of `careedu.nn.backbones.MODELS`.
    epochs : int, optional
        Supervised epochs in all stages together; 20 by default. Pretraining is counted apart.
    seed : int
        Of initialisation, order and augmentation. The same seed on the same machine, with as many threads, gives the
        same bits. The training images are those of `data`: to draw them anew, give ``data.redraw(seed)``.
    device : str
        ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"mps"``.
    batch_size : int
    learning_rate, weight_decay : float
        Of AdamW; the learning rate is the highest of a one-cycle schedule.
    augmentation : Augmentation or str, optional
        By default what suits the organ, ``data.augmentation``. The same for every method.
    precision : str
        ``"auto"``, ``"float32"``, ``"bfloat16"`` or ``"float16"``.
    probes : int
        Test images per class whose maps are recorded after each epoch.

    Raises
    ------
    InvalidInputError
        If a value cannot be.
    """

    model: str = "small"
    epochs: int | None = None
    seed: int = 0
    device: str = "auto"
    batch_size: int = 32
    learning_rate: float = 3e-3
    weight_decay: float = 0.05
    augmentation: Augmentation | str | None = None
    precision: str = "auto"
    probes: int = 4

    def __post_init__(self) -> None:
        if self.epochs is None:
            object.__setattr__(self, "epochs", 20)
        limits = {**dict.fromkeys(("seed", "probes"), "whole [0, inf)"), "weight_decay": "[0, inf)"}
        limits |= {"epochs": "whole [1, inf)", "batch_size": "whole [2, inf)", "learning_rate": "(0, inf)"}
        for name, interval in limits.items():
            value = getattr(self, name)
            check_number(name, value, interval)
            object.__setattr__(self, name, value.item() if isinstance(value, np.generic) else value)

    def augmentation_for(self, data: Splits) -> Augmentation:
        """What was asked for, else what suits the organ."""
        chosen = self.augmentation or data.augmentation
        return Augmentation.named(chosen) if isinstance(chosen, str) else chosen

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Settings:
        """Settings from keyword arguments; an unknown one is an error that suggests the nearest."""
        known = cls.__dataclass_fields__
        for name in options:
            check_known("option of careedu.fit", name, known)
        return cls(**options)

    @classmethod
    def signature_with(cls, function: Callable[..., Any]) -> inspect.Signature:
        """The signature of a function that takes the settings as its ``**options``, each by name."""
        signature = inspect.signature(function)
        own = [one for one in signature.parameters.values() if one.kind != inspect.Parameter.VAR_KEYWORD]
        keyword = inspect.Parameter.KEYWORD_ONLY
        settings = [inspect.Parameter(f.name, keyword, default=f.default, annotation=f.type) for f in fields(cls)]
        return signature.replace(parameters=[*own, *settings])

    def written(self, data: Splits) -> dict[str, Any]:
        """Each setting in words, as a configuration has them, with what "auto" and the data make of it."""
        device = choose_device(self.device)
        return {
            **{f.name.replace("_", " "): getattr(self, f.name) for f in fields(self)},
            "augmentation": asdict(self.augmentation_for(data)),
            "device": device.type,
            "precision": choose_precision(self.precision, device),
        }


# What a run's numbers follow from. Versions of packages are kept in a run's record but make no other run.
_IDENTITY = (*(f.name.replace("_", " ") for f in fields(Settings)), "threads", "revision")


def resolve_method(method: Method | str) -> Method:
    """A method, from itself or from its name."""
    if isinstance(method, str):
        return build_method(method)
    if not isinstance(method, Method):
        raise InvalidInputError(
            f"method must be a method such as careedu.ClassBalanced(), or the name of one, not {method!r}"
        )
    return method


def configure(data: Splits, method: Method, settings: Settings) -> dict[str, Any]:
    """Write down everything that a training of `method` on `data` follows from, as JSON values.

    Parameters
    ----------
    data : Splits
    method : Method
    settings : Settings

    Returns
    -------
    dict
        With the number of torch's threads, which the last bits of a sum depend on.

    Raises
    ------
    InvalidInputError
        If the data cannot be trained or measured on, the device is not there, or an option of the method is no JSON
        value.
    """
    if not isinstance(data, Splits):
        raise InvalidInputError(f"data must be Splits, as careedu.load makes them, not {type(data).__name__}")
    for name, part in (("validation", data.val), ("test", data.test)):
        if len(part) == 0:
            raise InvalidInputError(f"the {name} split is empty; without it nothing can be measured")
    options = method.options()  # first, as it says what a class of one's own has to state
    configuration = {
        "data": {
            "name": data.name,
            "recipe": dict(data.recipe),
            "fingerprint": data.fingerprint(),
            "classes": list(data.classes),
            "rare": list(data.rare),
            "image shape": list(data.train.images.shape[1:]),
            **({"squeezed": told} if (told := squeezed(data.parts().values())) else {}),
        },
        "method": {
            "name": method.name,
            "label": method.label(),
            "options": options,
            "revision": method.all_revisions(),
            **({"own classes": own} if (own := method.own_classes()) else {}),
        },
        **settings.written(data),
        "threads": torch.get_num_threads(),
        "revision": REVISION,
        "versions": versions(),
    }
    if isinstance(method, UntrainedMethod):
        configuration["model"] = "none"
    # Through JSON and back, so that what is read from a file compares equal to what is in memory.
    try:
        return json.loads(json.dumps(configuration, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(
            f"the settings of a run are kept as JSON, and one of them cannot be ({error}); give the options of method "
            f"{method.name!r} and the recipe of the data as finite numbers, words, truth values, None or lists of these"
        ) from error


def identity(configuration: Mapping[str, Any], *, method: bool = True) -> dict[str, Any]:
    """The part of a configuration that a run's numbers follow from; without the method where it is shared."""
    part = {"data": configuration["data"]["fingerprint"], **{name: configuration[name] for name in _IDENTITY}}
    if method:
        part["method"] = {name: configuration["method"][name] for name in ("name", "options", "revision")}
    return part


def run_key(configuration: Mapping[str, Any]) -> str:
    """Key of the run that follows from a configuration: 24 hexadecimal digits, the same on every machine."""
    return digest(identity(configuration))


def images_of(run: Run) -> Splits:
    """The images that a run was trained and measured on, loaded by its recipe.

    Raises
    ------
    MissingDataError
        If they are real images that are not on this machine.
    InvalidInputError
        If nobody can load them, or what the recipe gives are other test images.
    """
    data = splits_of(run.configuration["data"], instead="careedu.Comparison(results.runs, data=...)")
    if data.test.ids.tolist() != run.ids.tolist():
        raise InvalidInputError(
            f"{run.configuration['data']['recipe']['name']!r} on this machine has other test images than these results "
            "were measured on"
        )
    return data


def splits_of(data: Mapping[str, Any], *, instead: str) -> Splits:
    """The images that the "data" of a configuration tell of, loaded by their recipe.

    Parameters
    ----------
    data : mapping
    instead : str
        How to give images that nobody can load, for the error.

    Raises
    ------
    MissingDataError
        If they are real images that are not on this machine.
    InvalidInputError
        If nobody can load them.
    """
    recipe = data["recipe"]
    if "options" not in recipe:
        raise InvalidInputError(
            f"{data['name']!r} was not made by careedu.load, which can load nothing else: give it, {instead}"
        )
    names = ("size", "imbalance", "counts", "seed", "rare", "augmentation")
    return load(recipe["name"], **{name: recipe[name] for name in names}, **recipe["options"])
