"""The optimiser of one update of a stage, with its schedule, and how both are kept and put back."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from careedu.errors import InvalidInputError
from careedu.training.stage import Stage, Update


def one_cycle(update: int, updates: int) -> float:
    """Factor on the learning rate: up to 1 over the first quarter of a stage, then down to 0, both along a cosine.

    torch's own OneCycleLR fails for stages of one or four updates, which small sets have.
    """
    warm = max(1, round(0.25 * updates))
    if update < warm:
        return 0.04 + 0.96 * (1 - math.cos(math.pi * (update + 1) / warm)) / 2
    return (1 + math.cos(math.pi * (update - warm) / (updates - warm))) / 2 if update < updates else 0.0


class Optimization:
    """AdamW for the parameters that one update moves.

    Parameters
    ----------
    model : nn.Module
        On the device.
    stage : Stage
        Which the update belongs to.
    update : Update
    batches : int
        Of the whole stage.
    learning_rate, weight_decay : float
        Of the loop.
    precision : str
        With float16 the gradients are scaled.
    """

    def __init__(
        self,
        model: nn.Module,
        stage: Stage,
        update: Update,
        batches: int,
        learning_rate: float,
        weight_decay: float,
        precision: str,
    ) -> None:
        self.update = update
        names = [name for name, _ in model.named_parameters()]
        for prefix in update.trainable or ():
            if not any(name.startswith(prefix) for name in names):
                raise InvalidInputError(
                    f"stage {stage.name!r} speaks of parameters that begin with {prefix!r}, and there are none; "
                    f"the network's parts: {', '.join(dict.fromkeys(name.split('.')[0] for name in names))}"
                )
        groups: dict[float, list[nn.Parameter]] = {}
        for name, parameter in model.named_parameters():
            if update.trainable is None or name.startswith(update.trainable):
                factors = [factor for prefix, factor in update.learning_rates.items() if name.startswith(prefix)]
                groups.setdefault(float(np.prod(factors)), []).append(parameter)
        if not groups:
            raise InvalidInputError(f"stage {stage.name!r} moves no parameter: trainable={update.trainable!r}")
        updates = batches // update.every
        if updates == 0:
            raise InvalidInputError(
                f"an update of stage {stage.name!r} is made of every {update.every} batches, and the stage has "
                f"{batches}: give it more epochs or a smaller batch_size"
            )
        self.parameters = [parameter for group in groups.values() for parameter in group]
        self.optimizer = torch.optim.AdamW(
            [{"params": own, "lr": learning_rate * update.learning_rate * f} for f, own in groups.items()],
            lr=learning_rate,
            betas=update.betas,
            weight_decay=weight_decay if update.weight_decay is None else update.weight_decay,
            fused=True,
        )
        shape = (lambda number: one_cycle(number, updates)) if update.schedule == "one-cycle" else (lambda number: 1.0)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, shape)
        device = self.parameters[0].device
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "float16")

    @property
    def learning_rate(self) -> float:
        """Of the first group of parameters, now."""
        return self.schedule.get_last_lr()[0]

    def step(self, loss: Tensor) -> None:
        """Go one step down the gradient of a scalar."""
        for parameter in self.parameters:
            parameter.grad = None
        self.scaler.scale(loss).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.schedule.step()

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What a checkpoint needs to go on: moments by ``"<parameter>/<name>"``, and JSON values."""
        saved = self.optimizer.state_dict()
        moments = {f"{number}/{key}": value for number, own in saved["state"].items() for key, value in own.items()}
        schedule = {key: value for key, value in self.schedule.state_dict().items() if key != "lr_lambdas"}
        return moments, {"groups": saved["param_groups"], "schedule": schedule, "scaler": self.scaler.state_dict()}

    def restore(self, moments: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Put back what `state` gave, in the memory layout of the parameters, which fused updates rely on."""
        for name, tensor in moments.items():
            number, key = name.split("/")
            parameter = self.parameters[int(number)]
            like = parameter if tensor.shape == parameter.shape else tensor.to(parameter.device)
            self.optimizer.state[parameter][key] = torch.empty_like(like, dtype=tensor.dtype).copy_(tensor)
        for group, saved in zip(self.optimizer.param_groups, state["groups"], strict=True):
            kept = {key: tuple(v) if isinstance(v, list) else v for key, v in saved.items() if key != "params"}
            group.update(kept)
        groups = len(self.optimizer.param_groups)
        self.schedule.load_state_dict({**state["schedule"], "lr_lambdas": [None] * groups})
        self.scaler.load_state_dict(state["scaler"])
