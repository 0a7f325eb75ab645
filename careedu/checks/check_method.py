"""Whether a method keeps to the contract that training, comparison, saved runs and pictures rely on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_pre_hook

from careedu.data.dataset import LesionDataset, Splits
from careedu.data.load import load
from careedu.errors import ContractError
from careedu.experiment.configuration import resolve_method
from careedu.experiment.fit import fit
from careedu.experiment.grid import torch_threads
from careedu.experiment.run import Run
from careedu.methods.building import build_method
from careedu.methods.facts import TrainingFacts, Workspace
from careedu.methods.method import Method, TrainedMethod
from careedu.training.loop import EpochReport, TrainingStopped
from careedu.training.prediction import class_maps, predict_logits
from careedu.training.stage import Stage


def check_method(method: Method | str, data: Splits | None = None) -> None:
    """Hold a method to the contract: what `careedu.fit`, `careedu.compare`, saved runs and pictures rely on.

    It is trained some ten times on tiny images, which takes a few seconds.

    Parameters
    ----------
    method : Method or str
        One of careedu's, or of a class of your own.
    data : Splits, optional
        What to train on instead of 28 small chest phantoms, half of which are said to carry a mark: as few and as small
        images as will do.

    Raises
    ------
    ContractError
        If a clause is broken. The message lists all that are, by name:

        - ``options``: the class states a name, its options are the fields of a dataclass, and from their JSON the same
          method is made again, of the same label.
        - ``epochs``: the supervised epochs of the stages add up to those asked for.
        - ``held-out images``: what `prepare` gives does not depend on validation and test images and their labels.
        - ``training``: it trains, and gives probabilities. Where it does not, what follows is left out.
        - ``gradients``: each is finite, in every update of every stage.
        - ``same seed``: the same seed gives the same bits.
        - ``held-out lesions``: no bit depends on boxes and masks of validation and test images. A reference that cannot
          do without them says so: ``needs_lesions = True``.
        - ``absent class``: validation may lack a class.
        - ``one image``: a class may have a single training image.
        - ``resume``: a training that is stopped after each epoch goes on to the same bits.
        - ``shared stages``: where first stages are kept and found again, the bits are the same.
        - ``network``: what is opened from the weights predicts and maps as the trained network did, and its logits are
          head(pool(features)), with the mean as pool.
        - ``saved run``: a run is saved and loaded without loss.
    """
    method, data = resolve_method(method), data or _tiny_data()
    broken: dict[str, Exception] = {}
    with torch_threads(1):  # images so small are no faster on several
        for name, check in _BEFORE_TRAINING.items():
            _hold(broken, name, check, method, data)
        run = _hold(broken, "training", _training, method, data, broken)
        for name, check in _OF_RUNS.items() if run else ():
            _hold(broken, name, check, method, data, run)
    if broken:
        lines = [f"- {name}: {_told(error)}" for name, error in broken.items()]
        message = "\n".join([f"{method!r} breaks the contract that careedu.check_method holds it to:", *lines])
        raise ContractError(message) from ExceptionGroup("what was found", list(broken.values()))


class _Breach(Exception):
    """What a check has found."""


def _hold(broken: dict[str, Exception], name: str, check: Callable[..., Any], method: Method, *others: Any) -> Any:
    if name in _OF_STAGES and not isinstance(method, TrainedMethod):
        return None
    try:
        return check(method, *others)
    except Exception as error:  # whatever a method of anyone's does: all of it is told at the end
        broken[name] = error
        return None


def _told(error: Exception) -> str:
    return str(error) if isinstance(error, _Breach) else f"{type(error).__name__}: {error}"


def _tiny_data() -> Splits:
    data = load("phantom-chest", size=32, largest=16, imbalance=4, val=3, test=4)
    marks = torch.zeros(len(data.train), 32, 32, dtype=torch.bool)
    marks[len(marks) // 2 :, :6, :6] = True  # not the first half, which has images of every class
    return replace(data, train=replace(data.train, marks=marks))


def _fit(data: Splits, method: Method, **options: Any) -> Run:
    return fit(data, method, epochs=4, batch_size=8, probes=1, device="cpu", progress=False, **options)


def _same_bits(run: Run, other: Run, when: str) -> None:
    pairs = {
        "probabilities": (run.probabilities, other.probabilities),
        "probabilities in validation": (run.validation_probabilities, other.validation_probabilities),
        **{f"weights {n!r}": (t, other.weights[n]) for n, t in (run.weights or {}).items()},
        **{f"recorded {n!r}": (array, other.traces[n]) for n, array in run.traces.items()},
        "history": (run.history.to_numpy(dtype=str), other.history.to_numpy(dtype=str)),
        "pretraining": (run.pretraining.to_numpy(dtype=str), other.pretraining.to_numpy(dtype=str)),
    }
    differing = [name for name, (a, b) in pairs.items() if not _equal(np.asarray(a), np.asarray(b))]
    if differing:
        raise _Breach(f"{when} differ in {', '.join(differing[:4])}{', …' if len(differing) > 4 else ''}")


def _equal(a: np.ndarray, b: np.ndarray) -> bool:
    return np.array_equal(a, b, equal_nan=np.issubdtype(a.dtype, np.floating))


def _options(method: Method, data: Splits) -> None:
    again = build_method(method.name, **json.loads(json.dumps(method.options(), allow_nan=False)))
    if again != method or again.label() != method.label():
        raise _Breach(f"their JSON makes {again!r}: let options be numbers, words, truth values, None or methods")


def _stages(method: TrainedMethod, data: Splits, epochs: int = 4) -> list[Stage]:
    train = method.prepare_in(Workspace(), data, 0)
    facts = TrainingFacts(tuple(train.counts.tolist()), data.rare_indices, tuple(train.images.shape[1:]), train)
    return method.all_stages(facts, epochs)


def _epochs(method: TrainedMethod, data: Splits) -> None:
    for asked in (4, 7, 20):
        got = sum(stage.epochs for stage in _stages(method, data, asked) if stage.supervised)
        if got != asked:
            raise _Breach(f"of {asked} epochs asked for, the supervised stages have {got}")


def _held_out_images(method: Method, data: Splits) -> None:
    def other(part: LesionDataset) -> LesionDataset:
        return replace(part, images=255 - part.images, labels=(part.labels + 1) % len(part.classes))

    changed = replace(data, val=other(data.val), test=other(data.test))
    one, other_one = (method.prepare_in(Workspace(), splits, 0) for splits in (data, changed))
    if one.fingerprint() != other_one.fingerprint():
        raise _Breach("prepare gives other training images where validation and test are others: read data.train alone")


def _training(method: Method, data: Splits, broken: dict[str, Exception]) -> Run:
    """A first run; what its gradients are is a clause of its own, told even where the training fails on them."""
    done: list[EpochReport] = []

    def look(optimizer: Optimizer, *_: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not all(bool(gradient.isfinite().all()) for gradient in gradients):
            broken.setdefault("gradients", _Breach(f"a gradient is NaN or infinite in epoch {len(done) + 1}"))

    hook = register_optimizer_step_pre_hook(look)
    try:
        run = _fit(data, method, on_epoch=done.append)
    finally:
        hook.remove()
    probabilities, shape = run.probabilities, (len(data.test), len(data.classes))
    if probabilities.shape != shape or not np.allclose(probabilities.sum(axis=1), 1) or (probabilities < 0).any():
        raise _Breach(f"predictions must be probabilities {shape}, rows of which add up to 1")
    return run


def _same_seed(method: Method, data: Splits, run: Run) -> None:
    _same_bits(run, _fit(data, method), "two trainings with one seed")


def _held_out_lesions(method: Method, data: Splits, run: Run) -> None:
    if getattr(method, "needs_lesions", False):
        return
    parts = {name: replace(getattr(data, name), boxes=None, masks=None, has_mask=None) for name in ("val", "test")}
    _same_bits(run, _fit(replace(data, **parts), method), "runs with and without boxes of validation and test images")


def _absent_class(method: Method, data: Splits, run: Run) -> None:
    _fit(replace(data, val=data.val[data.val.labels > 0]), method)


def _one_image(method: Method, data: Splits, run: Run) -> None:
    labels = data.train.labels
    keep = labels != data.rare_indices[0]
    keep[(~keep).nonzero()[0]] = True
    _fit(replace(data, train=data.train[keep], rare=data.rare), method)


def _resume(method: TrainedMethod, data: Splits, run: Run) -> None:
    with TemporaryDirectory() as folder:
        for _ in range(len(run.history) + len(run.pretraining)):
            try:
                _fit(data, method, checkpoint=Path(folder) / "checkpoint", on_epoch=lambda report: False)
            except TrainingStopped:
                continue
        resumed = _fit(data, method, checkpoint=Path(folder) / "checkpoint")
    _same_bits(run, resumed, "a training in one go and one stopped after each epoch")


def _shared_stages(method: TrainedMethod, data: Splits, run: Run) -> None:
    with TemporaryDirectory() as folder:
        for which in ("that shares its first stages", "that starts from shared first stages"):
            _same_bits(run, _fit(data, method, shared_stages=folder), f"a training by itself and one {which}")
            if not any(Path(folder).iterdir()):
                return


def _network(method: TrainedMethod, data: Splits, run: Run) -> None:
    network = run.network()
    probabilities = run.adjusted(predict_logits(network, data.test.images)).softmax(dim=1)
    maps = class_maps(network, data.test.images[run.probes], data.test.labels[run.probes])
    opened = {"probe maps": (maps * 255).round().to(torch.uint8).numpy()}
    trained = {"probe maps": run.traces["probe maps"][-1]}
    if len(run.pretraining) and not _stages(method, data)[-1].supervised:
        trained = opened = {}  # the maps of the last supervised epoch are not those of the trained network
    _same_bits(
        replace(run, weights=None, traces=trained),
        replace(run, weights=None, traces=opened, probabilities=probabilities.numpy()),
        "the trained network and the one that is opened from its weights",
    )
    x = data.test.images[:4].float() / 255
    with torch.inference_mode():
        features = network.features(x)
        if type(network.head) is nn.Linear and not torch.allclose(network.pool(features), features.mean(dim=(2, 3))):
            raise _Breach(
                "pool is not the mean over positions, on which class maps rest: weight the features in `after`"
            )
        if not torch.allclose(network.head(network.pool(network.features(x))), network(x), atol=1e-5):
            raise _Breach("logits are not head(pool(features)), so class maps are not of this network: use its slots")


def _saved_run(method: Method, data: Splits, run: Run) -> None:
    with TemporaryDirectory() as folder:
        # Weights are read when they are asked for, so it is asked for them while the folder is there.
        _same_bits(run, Run.load(run.save(Path(folder) / "run")), "a run and what is loaded of it")


_OF_STAGES = ("epochs", "resume", "shared stages", "network")  # which an untrained method has none of
_BEFORE_TRAINING = {"options": _options, "epochs": _epochs, "held-out images": _held_out_images}
_OF_RUNS = {
    "same seed": _same_seed,
    "held-out lesions": _held_out_lesions,
    "absent class": _absent_class,
    "one image": _one_image,
    "resume": _resume,
    "shared stages": _shared_stages,
    "network": _network,
    "saved run": _saved_run,
}
