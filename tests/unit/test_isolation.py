"""Whatever the caller has set, drawn or started beside it: the same bits, and all of it as it was."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
import warnings
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from made_up import made_up_splits
from small_grid import DATA, OPTIONS, same_bits, same_runs
from torch import nn
from torch.overrides import TorchFunctionMode

from careedu.errors import CareeduError
from careedu.experiment.fit import fit
from careedu.experiment.grid import train_grid
from careedu.methods import segmentation
from careedu.methods.care import CARE
from careedu.methods.global_attention import GlobalAttention
from careedu.methods.imbalance import CrossEntropy, LogitAdjusted
from careedu.show.compare import compare
from careedu.show.comparison.explorer import ComparisonExplorer
from careedu.show.imbalance.explorer import ImbalanceExplorer
from careedu.training import isolation
from careedu.training.isolation import plain_torch, reproducible, turn
from careedu.training.prediction import class_maps, pooled_or_maps, predict_logits

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Drawing(CrossEntropy):
    """Draws from torch's generator, and makes tensors of whatever type and device is the default."""

    name: ClassVar[str] = "drawing"

    def loss(self, logits, target, facts, progress):
        dropped = nn.functional.dropout(logits * torch.rand(()), 0.2)
        return super().loss(dropped + torch.tensor(1e-3), target, facts, progress)


class Spoiling(TorchFunctionMode):
    """Adds something to every linear layer."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        return result + 1 if func is nn.functional.linear else result


class Restoring:
    """A setting that is made, and taken back at the end."""

    def __init__(self, write, value, before):
        self.write, self.value, self.before = write, value, before

    def __enter__(self):
        self.write(self.value)

    def __exit__(self, *_):
        self.write(self.before)


def attribute(owner, name, value):
    return Restoring(lambda to: setattr(owner, name, to), value, getattr(owner, name))


@contextlib.contextmanager
def errors_of_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


STATES = {
    "default dtype": lambda: Restoring(torch.set_default_dtype, torch.float64, torch.float32),
    "default device": lambda: Restoring(torch.set_default_device, "meta", None),
    "device": lambda: torch.device("meta"),
    "mode": Spoiling,
    "autocast": lambda: torch.autocast("cpu"),
    "no gradients": torch.no_grad,
    "no gradients in this thread": lambda: Restoring(torch.set_grad_enabled, False, True),
    "inference": torch.inference_mode,
    "inference and gradients": lambda: torch.inference_mode(False),
    "deterministic": lambda: Restoring(torch.use_deterministic_algorithms, True, False),
    "deterministic, or a warning": lambda: Restoring(torch.set_deterministic_debug_mode, "warn", "default"),
    "no denormals": lambda: Restoring(torch.set_flush_denormal, True, False),
    "matmul": lambda: Restoring(torch.set_float32_matmul_precision, "medium", "highest"),
    "no mkldnn": lambda: attribute(torch.backends.mkldnn, "enabled", False),
    "cudnn": lambda: attribute(torch.backends.cudnn, "benchmark", True),
    "no cudnn": lambda: attribute(torch.backends.cudnn, "enabled", False),
    "numpy's errors": lambda: np.errstate(all="raise"),
    "warnings": errors_of_warnings,
    "anomalies": lambda: torch.autograd.set_detect_anomaly(True),
    "seeds": lambda: Restoring(lambda seed: [one(seed) for one in (torch.manual_seed, random.seed)], 1, 2),
}
if hasattr(torch.backends, "fp32_precision"):
    STATES["precision"] = lambda: attribute(torch.backends, "fp32_precision", "bf16")
    STATES["precision of cuDNN"] = lambda: attribute(torch.backends.cudnn, "fp32_precision", "ieee")
    STATES["tf32 by its old name"] = lambda: attribute(torch.backends.cuda.matmul, "allow_tf32", True)
    STATES["precision of a part"] = lambda: attribute(torch.backends.mkldnn.conv, "fp32_precision", "tf32")


def caller_state():
    """All that a caller might miss."""
    return (
        {setting.name: setting.now() for setting in isolation._SETTINGS},
        torch.get_default_device(),
        torch._C._len_torch_function_stack(),
        [torch.is_autocast_enabled(kind) for kind in ("cpu", "cuda")],
        (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.is_anomaly_enabled()),
        (torch.get_num_threads(), sys.float_info.min / 2),
        np.geterr(),
        list(warnings.filters),
        torch.default_generator.get_state().tolist(),
        random.getstate(),
        np.random.get_state()[1].tolist(),  # noqa: NPY002
    )


@contextlib.contextmanager
def untouched():
    before = caller_state()
    yield
    assert caller_state() == before


def trained(method=Drawing(), data=DATA, **options):
    return fit(data, method, **{**OPTIONS, **options})


@pytest.fixture(scope="module")
def plain():
    return trained()


@pytest.fixture(scope="module")
def care():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segmentation, "UPDATES", 4)
        yield trained(CARE(boxes="segmentation"))


@pytest.mark.parametrize("state", STATES)
def test_a_training_is_the_same_in_whatever_state_it_is_called(state, plain):
    with STATES[state](), untouched():
        run = trained()
    assert same_bits(run, plain)


@pytest.mark.parametrize("state", ["default dtype", "device", "autocast", "inference", "numpy's errors", "mode"])
def test_so_is_one_that_trains_a_segmentation_before_it_and_a_grid_of_them(state, care, tmp_path):
    grid = train_grid(DATA, ["cross-entropy"], seeds=1, **OPTIONS)
    with STATES[state](), untouched():
        assert same_bits(trained(CARE(boxes="segmentation")), care)
        first = train_grid(DATA, ["cross-entropy"], seeds=1, store=tmp_path, **OPTIONS)
    again = train_grid(DATA, ["cross-entropy"], seeds=1, store=tmp_path, **OPTIONS)
    assert same_runs(first, grid)
    assert same_runs(again, grid)
    assert len(list(tmp_path.glob("runs/*"))) == 1


@pytest.mark.parametrize("state", ["default dtype", "autocast", "inference", "matmul"])
def test_mixed_precision_is_the_same_too(state):
    plain = trained(precision="bfloat16")
    with STATES[state](), untouched():
        assert same_bits(trained(precision="bfloat16"), plain)


@pytest.mark.parametrize(
    "method",
    [Drawing(), GlobalAttention(), GlobalAttention(map="free", order="after", fill="mean", map_epochs=1), CARE()],
    ids=lambda method: method.label(),
)
def test_images_that_were_loaded_in_inference_mode_are_trained_on(method):
    made = {"draw_train": DATA.draw_train}
    with torch.inference_mode():
        data = replace(made_up_splits(24, 9, 18), **made)
        within = trained(method, data)
    assert same_bits(within, trained(method))
    assert same_bits(trained(method, data), within)
    assert data.train.images.is_inference()


@pytest.mark.parametrize("state", STATES)
def test_so_is_what_a_network_says_of_images(state):
    network = torch.nn.Module.eval(_network())
    images, labels = DATA.test.images, DATA.test.labels

    def said():
        return (
            predict_logits(network, images),
            pooled_or_maps(network, images, pooled=True),
            class_maps(network, images, labels),
        )

    plain = said()
    with STATES[state](), untouched():
        now = said()
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(plain, now, strict=True))
    network.head = nn.Sequential(nn.Linear(128, 8), nn.ReLU(), nn.Linear(8, 3))  # Grad-CAM
    plain = class_maps(network, images, labels)
    with STATES[state](), untouched():
        assert torch.equal(class_maps(network, images, labels.clone()), plain)


def _network():
    from careedu.nn.backbones import build_model

    with reproducible(CPU, 0):
        return build_model("small", 3)


# In threads


def beside(*works):
    """Do all of these at one time, each in a thread of its own, and give what they return."""
    results = [None] * len(works)
    gate = threading.Barrier(len(works))

    def work(place):
        gate.wait()
        try:
            results[place] = works[place]()
        except BaseException as error:
            results[place] = error

    threads = [threading.Thread(target=work, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    failed = [result for result in results if isinstance(result, BaseException)]
    if failed:
        raise failed[0]
    return results


def test_trainings_in_several_threads_take_turns(plain, capfd):
    with untouched():
        for _ in range(6):
            assert all(same_bits(run, plain) for run in beside(trained, trained, trained))
    assert "another training goes on here" in capfd.readouterr().err


def test_the_callers_flags_are_put_back_after_trainings_that_overlap(plain):
    with STATES["default dtype"](), STATES["cudnn"](), untouched():
        for _ in range(3):
            assert all(same_bits(run, plain) for run in beside(trained, trained))


@pytest.mark.slow
def test_a_training_beside_a_widget_that_trains(plain):
    data = made_up_splits(24, 9, 18)
    explorer = ImbalanceExplorer(trained(CrossEntropy(), data), data)
    for side in "AB":
        explorer.set(**{f"{side}_weighting": "effective number"})
    explorer.train_networks(updates=4).join()
    alone = {side: recalls.tolist() for side, recalls in explorer.trained.items()}
    assert sorted(alone) == ["A", "B"]
    for _ in range(3):
        explorer.update()
        assert explorer.trained == {}
        task = explorer.train_networks(updates=4)
        assert same_bits(trained(), plain)
        task.join()
        assert {side: recalls.tolist() for side, recalls in explorer.trained.items()} == alone
    assert explorer.errors == []


def test_a_widget_says_that_it_waits_and_can_be_stopped_meanwhile():
    data = made_up_splits(24, 9, 18)
    explorer = ImbalanceExplorer(trained(CrossEntropy(), data), data)
    texts = []
    explorer.listen(lambda: texts.append(explorer.task.text))
    with turn():
        task = explorer.train_networks()
        while not texts:
            time.sleep(0.01)
        assert task.text == isolation.WAITS
        assert task.running
        task.stop()
        task.join(5)
        assert not task.running
    assert explorer.trained == {}
    assert explorer.errors == []


@pytest.fixture
def other_training():
    """Another thread that trains until it is told to end."""
    begun, end = threading.Event(), threading.Event()

    def work():
        with reproducible(CPU, 1):
            begun.set()
            end.wait(30)

    thread = threading.Thread(target=work)
    thread.start()
    begun.wait()
    yield end
    end.set()
    thread.join()


@pytest.mark.skipif(sys.platform == "win32", reason="sends a signal to a thread")
@pytest.mark.parametrize("train", [trained, lambda: train_grid(DATA, ["cross-entropy"], seeds=1, **OPTIONS)])
def test_who_waits_says_so_at_once_and_can_be_interrupted(train, other_training, interruptible, capfd):
    timer = threading.Timer(0.5, signal.pthread_kill, [threading.main_thread().ident, signal.SIGINT])
    timer.start()
    with untouched(), pytest.raises(KeyboardInterrupt):
        train()
    shown = capfd.readouterr().err
    assert shown.count("another training goes on here") == 1
    assert "this one waits" in shown


def test_a_look_at_a_network_waits_for_no_training(other_training):
    started = time.monotonic()
    logits = predict_logits(_network_without_turn(), DATA.test.images)
    assert time.monotonic() - started < 10
    assert logits.dtype == torch.float32


def _network_without_turn():
    from careedu.nn.backbones import build_model

    return build_model("small", 3)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system that cannot fork")
def test_a_forked_process_does_not_wait_for_a_thread_that_it_has_not(other_training):
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException), turn(lambda: os._exit(1)):
            os._exit(0)
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_training_within_another_ones_callback(plain):
    inner = []
    with untouched():
        outer = trained(on_epoch=lambda report: inner.append(trained()))
    assert same_bits(outer, plain)
    assert len(inner) == 2
    assert all(same_bits(run, plain) for run in inner)


def test_what_a_callback_draws_and_sets_is_no_part_of_the_training(plain):
    def meddle(report):
        torch.manual_seed(report.epoch)
        torch.use_deterministic_algorithms(True)
        torch.set_num_threads(torch.get_num_threads() + 1)

    threads = torch.get_num_threads()
    try:
        assert same_bits(trained(on_epoch=meddle), plain)
        assert torch.get_num_threads() == threads
    finally:
        torch.use_deterministic_algorithms(False)


@dataclass(frozen=True)
class Meddling(CrossEntropy):
    """Changes in the middle of an epoch what torch computes with, as another thread could."""

    name: ClassVar[str] = "meddling"

    def loss(self, logits, target, facts, progress):
        torch.backends.mkldnn.enabled = False
        return super().loss(logits, target, facts, progress)


def test_a_setting_that_changes_under_a_training_is_named_and_stays_as_somebody_wished():
    try:
        with pytest.raises(CareeduError, match=r"mkldnn\.enabled was changed while careedu computed.*run this again"):
            trained(Meddling())
        assert torch.backends.mkldnn.enabled is False
    finally:
        torch.backends.mkldnn.enabled = True


def test_so_is_one_by_which_the_training_fails():
    with (
        pytest.raises(CareeduError, match=r"mkldnn\.enabled was changed") as told,
        attribute(torch.backends.mkldnn, "enabled", True),
        plain_torch(),
    ):
        torch.backends.mkldnn.enabled = False
        raise RuntimeError("types differ")
    assert isinstance(told.value.__cause__, RuntimeError)


def test_overlapping_looks_put_the_callers_dtype_back_when_the_last_one_ends():
    with STATES["default dtype"]():
        first, second = plain_torch(), plain_torch()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float32
        second.__exit__(None, None, None)
        assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize("state", STATES)
def test_a_run_opens_as_the_same_network_with_the_same_maps(state):
    run = trained(CARE(classification=LogitAdjusted()))
    images, labels = DATA.test.images, DATA.test.labels
    logits = torch.linspace(-1, 1, 6).view(2, 3)

    def opened():
        network = run.network()
        return (*network.state_dict().values(), run.class_maps(images, labels), run.adjusted(logits))

    plain = opened()
    with STATES[state](), untouched():
        now = opened()
    assert all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(plain, now, strict=True))


@pytest.mark.slow
def test_a_network_that_is_opened_beside_a_training_draws_none_of_its_random_numbers(plain):
    run, end = trained(), threading.Event()

    def look():
        while not end.is_set():
            run.network()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        assert all(same_bits(trained(), plain) for _ in range(10))
    finally:
        end.set()
        thread.join()


@pytest.mark.parametrize("state", ["default dtype", "default device", "autocast", "inference"])
def test_widgets_show_the_same(state):
    comparison = compare(DATA, ["cross-entropy", "focal"], seeds=1, **OPTIONS)
    run = comparison.runs["focal"][0]

    def shown():
        explorer = ComparisonExplorer(comparison)
        explorer.tests, explorer.row = DATA.test, 1
        return [*explorer._answer("B"), *ImbalanceExplorer(run, DATA)._features(run, DATA)]

    plain = shown()
    with STATES[state](), untouched():
        now = shown()
    for a, b in zip(plain, now, strict=True):
        np.testing.assert_array_equal(a, b)
