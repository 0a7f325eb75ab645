"""What of a training is kept, so that it goes on with the same bits: after each epoch, and after shared stages."""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from careedu.errors import CheckpointError
from careedu.files import read_tensors, write_tensors
from careedu.training.optimization import Optimization


@dataclass(frozen=True)
class SharedStages:
    """Where the outcome of the first stages lies that several methods have in common.

    Parameters
    ----------
    path : Path
        Of the file; it may not be there yet.
    identity : mapping
        JSON values that the outcome follows from.
    """

    path: Path
    identity: Mapping[str, Any]


@dataclass
class Record:
    """What was seen of a training so far.

    Attributes
    ----------
    history, pretraining : list of dict
        A row for each supervised epoch, and for each of the others.
    traces : dict of str to list of ndarray
        What was recorded after each epoch.
    seconds : float
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    pretraining: list[dict[str, Any]] = field(default_factory=list)
    traces: dict[str, list[np.ndarray]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def epochs(self) -> int:
        """Epochs done, of whatever kind."""
        return len(self.history) + len(self.pretraining)


def write_training(
    path: Path,
    identity: Mapping[str, Any],
    model: nn.Module,
    record: Record,
    optimizations: Sequence[Optimization] = (),
    unlike: Mapping[str, Tensor] | None = None,
) -> None:
    """Write all that is needed to go on: within a stage with its optimisers, between stages without.

    With `unlike`, an earlier state of the network, only the parameters and buffers are kept that have changed since.
    """
    weights = model.state_dict()
    if unlike is not None:
        weights = {name: tensor for name, tensor in weights.items() if not torch.equal(tensor, unlike[name])}
    tensors = {f"model/{name}": tensor for name, tensor in weights.items()}
    for name, arrays in record.traces.items():
        tensors[f"trace/{name}"] = torch.from_numpy(np.stack(arrays))
    states = []
    for number, optimization in enumerate(optimizations):
        moments, state = optimization.state()
        tensors |= {f"optimizer/{number}/{name}": tensor for name, tensor in moments.items()}
        states.append(state)
    seen = {"history": record.history, "pretraining": record.pretraining, "seconds": record.seconds}
    write_tensors(path, tensors, {"identity": dict(identity), **seen, "optimizers": states})


def read_training(
    path: Path, identity: Mapping[str, Any], model: nn.Module, part: bool = False
) -> tuple[Record, list[tuple[dict[str, Tensor], dict[str, Any]]]]:
    """Read what `write_training` wrote into a network; with `part` it need not speak of all that the network holds.

    Returns
    -------
    record : Record
    optimizers : list
        Moments and state for `Optimization.restore`, one for each update of the stage that was going on.

    Raises
    ------
    CheckpointError
        If the file is damaged or belongs to another training.
    """
    tensors, state = read_tensors(path)
    saved = state.get("identity", {})
    differing = [key for key in {*saved, *identity} if saved.get(key) != identity.get(key)]
    if differing:
        what = "; ".join(f"{key}: {saved.get(key)} there, {identity.get(key)} here" for key in sorted(differing))
        raise CheckpointError(f"checkpoint {path} belongs to another training ({what}); name another file")
    weights, own = dict(_part(tensors, "model")), model.state_dict()
    # Looked at before anything is loaded: a refused file has changed nothing.
    fits = all(name in own and own[name].shape == tensor.shape for name, tensor in weights.items())
    if not fits or "optimizers" not in state or (not part and weights.keys() != own.keys()):
        raise CheckpointError(f"checkpoint {path} is of another network or careedu; delete it and run again")
    model.load_state_dict(weights, strict=not part)
    traces = {name: list(stack.numpy()) for name, stack in _part(tensors, "trace")}
    record = Record(state["history"], state["pretraining"], traces, state["seconds"])
    moments = [dict(_part(tensors, f"optimizer/{number}")) for number in range(len(state["optimizers"]))]
    return record, list(zip(moments, state["optimizers"], strict=True))


def again_if_damaged(train: Callable[[], Any], checkpoint: Path, what: str) -> Any:
    """Train, and once more from the beginning where nobody can go on from the checkpoint, which goes."""
    try:
        return train()
    except CheckpointError as error:
        # Damaged, or begun with other versions of packages.
        warnings.warn(f"{error}; {what}", stacklevel=3)
        checkpoint.unlink(missing_ok=True)
        return train()


def _part(tensors: Mapping[str, Tensor], kind: str) -> Iterable[tuple[str, Tensor]]:
    prefix = kind + "/"
    return ((name.removeprefix(prefix), tensor) for name, tensor in tensors.items() if name.startswith(prefix))
