"""The loop alone: adversarial, self-supervised and segmentation stages are declarations like any other.

Each is stopped after every epoch and goes on with the same bits.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_up import made_up_dataset
from torch import nn
from torch.nn import functional

from careedu.data.augmentation import Augmentation
from careedu.errors import CareeduError, CheckpointError, InvalidInputError, UnknownNameError
from careedu.methods.segmentation import add_decoder, segment, segmentation_stage
from careedu.nn.backbones import build_model
from careedu.nn.losses import nt_xent
from careedu.training.batch import FeatureTable, unit_range
from careedu.training.checkpoint import SharedStages
from careedu.training.loop import Training, TrainingStopped
from careedu.training.stage import Stage, Update, declared, trainable_in

TRAIN = made_up_dataset(60, 0)
MANY = made_up_dataset(300, 0)
"""More than a batch of 256."""
K = 128


def network(name="small", **parts):
    torch.manual_seed(0)
    model = build_model(name, 3, TRAIN.images.shape[1])
    for part, build in parts.items():
        model.training_parts[part] = build()
    model.standardize_by(TRAIN.images)
    return model.to(memory_format=torch.channels_last)


def classify(model, batch):
    return {"classification": functional.cross_entropy(model(batch.inputs), batch.labels)}


def training(model, stages, train=TRAIN, **options):
    settings = {"augmentation": Augmentation.named("upright"), "seed": 7, "batch_size": 16, "learning_rate": 3e-3}
    return Training(model=model, stages=stages, train=train, weight_decay=0.05, **{**settings, **options})


# ---- three declarations ----------------------------------------------------------------------------------------------


def adversaries():
    return network(
        critic=lambda: nn.Sequential(nn.Linear(K, 16), nn.LeakyReLU(), nn.Linear(16, 1)),
        generator=lambda: nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, K)),
    )


def wasserstein_gan():
    """WGAN-GP on cached features (Gulrajani et al., 2017): critic each batch, generator every fifth."""

    def fake(model, n):
        return model.training_parts["generator"](torch.randn(n, 8))

    def critic_terms(model, batch):
        critic, real, made = model.training_parts["critic"], batch.inputs, fake(model, len(batch)).detach()
        between = torch.lerp(real, made, torch.rand(len(batch), 1)).requires_grad_()
        (slope,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
        penalty = 10 * (slope.norm(dim=1) - 1).square().mean()
        return {"critic": critic(made).mean() - critic(real).mean(), "gradient penalty": penalty}

    def generator_terms(model, batch):
        return {"generator": -model.training_parts["critic"](fake(model, len(batch))).mean()}

    adam = {"betas": (0.0, 0.9), "weight_decay": 0.0, "schedule": "constant"}
    critic = Update(critic_terms, trainable=("training_parts.critic.",), **adam)
    generator = Update(generator_terms, trainable=("training_parts.generator.",), every=5, **adam)
    record = {"record": lambda model: {"made features": fake(model, 4), "spread": fake(model, 64).std()}}
    adversarial = Stage("adversarial", 4, [critic, generator], inputs="pooled-features", supervised=False, **record)
    return adversaries(), [Stage("features", 1, classify), adversarial]


def contrastive_then_few_labels():
    """SimCLR in batches of 256, then fine-tuning on a twentieth of the rows."""

    def contrast(model, batch):
        views = (model.training_parts["projector"](model.pool(model.features(batch.view()))) for _ in range(2))
        return {"contrast": nt_xent(*views)}

    model = network(projector=lambda: nn.Sequential(nn.Linear(K, 32), nn.ReLU(), nn.Linear(32, 16)))
    strong = Augmentation(flip_horizontal=True, rotation=180, zoom=0.2, brightness=0.2, contrast=0.3)
    pretraining = Stage(
        "pretraining",
        3,
        Update(contrast, trainable=("body.", "training_parts.projector.")),
        batch_size=256,
        augmentation=strong,
        supervised=False,
        shared={"loss": "nt-xent"},
    )
    few = torch.arange(0, len(MANY), 20)
    return model, [pretraining, Stage("fine-tuning", 3, classify, rows=few, batch_size=2)], MANY


def segmentation_then_classification():
    """A U-Net learns from the masks of some images; its encoder is the body of the classifier that comes next."""
    rows = torch.arange(len(TRAIN)) % 2 == 0
    return add_decoder(network("unet")), [segmentation_stage(3, rows=rows), Stage("classification", 2, classify)]


DECLARATIONS = [wasserstein_gan, contrastive_then_few_labels, segmentation_then_classification]


def outcome(model, record):
    """Everything that a training leaves, to the last bit."""
    arrays = {name: np.stack(arrays) for name, arrays in record.traces.items()}
    tensors = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    return tensors, arrays, record.history, record.pretraining


def same(one, other):
    tensors, arrays, *rows = one
    others, other_arrays, *other_rows = other
    assert tensors.keys() == others.keys() and arrays.keys() == other_arrays.keys()
    assert all(torch.equal(tensor, others[name]) for name, tensor in tensors.items())
    assert all(np.array_equal(array, other_arrays[name]) for name, array in arrays.items())
    assert rows == other_rows
    return True


@pytest.mark.parametrize("declare", DECLARATIONS)
def test_a_stage_of_any_kind_goes_on_with_the_same_bits_wherever_it_was_stopped(declare, tmp_path):
    model, stages, *images = declare()
    whole = training(model, stages, *images)
    whole.run()
    expected = outcome(model, whole.record)
    assert same(expected, expected)
    total = sum(stage.epochs for stage in stages)
    assert whole.record.epochs == whole.epochs == total
    for stop in range(1, total):
        path = tmp_path / f"{stop}.safetensors"
        model, stages, *images = declare()
        with pytest.raises(TrainingStopped, match=rf"after epoch {stop} of {total}"):
            training(model, stages, *images).run(path, on_epoch=lambda report, stop=stop: report.epoch < stop)
        model, stages, *images = declare()
        resumed = training(model, stages, *images)
        torch.rand(3)  # what is drawn elsewhere makes no difference
        resumed.run(path)
        assert same(outcome(model, resumed.record), expected), stop


@pytest.mark.parametrize("declare", DECLARATIONS)
def test_a_process_killed_within_an_epoch_loses_no_more_than_that(declare, tmp_path):
    path = tmp_path / "training.safetensors"
    code = (
        "import os, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from dataclasses import replace\n"
        "from pathlib import Path\n"
        "import test_loop, torch\n"
        f"torch.set_num_threads({torch.get_num_threads()})\n"
        f"model, stages, *images = test_loop.{declare.__name__}()\n"
        "update, done = stages[-1].updates[-1], []\n"
        "def terms(model, batch):\n"
        "    done.append(1)\n"
        "    if len(done) == 3:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return update.terms(model, batch)\n"
        "stages[-1] = replace(stages[-1], updates=[*stages[-1].updates[:-1], replace(update, terms=terms)])\n"
        f"test_loop.training(model, stages, *images).run(Path({str(path)!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    results = []
    for checkpoint in (path, None):
        model, stages, *images = declare()
        run = training(model, stages, *images)
        if checkpoint is not None:
            assert checkpoint.exists()
        run.run(checkpoint)
        results.append(outcome(model, run.record))
    assert same(*results)


# ---- what a stage may say --------------------------------------------------------------------------------------------


def test_the_generator_moves_every_fifth_batch_and_each_update_by_itself():
    model, stages = wasserstein_gan()
    run = training(model, stages, batch_size=6)  # 10 batches an epoch
    seen = []

    def watched(update, name):
        def terms(model, batch):
            moving = {n.split(".")[1] for n, p in model.named_parameters() if p.requires_grad}
            seen.append((name, moving, model.training_parts["generator"][2].training, model.body.training))
            return update.terms(model, batch)

        return replace(update, terms=terms)

    critic, generator = stages[1].updates
    run.stages = [
        stages[0],
        replace(stages[1], updates=(watched(critic, "critic"), watched(generator, "generator"))),
    ]
    run.run()
    names = [name for name, *_ in seen]
    one_cycle = ["critic"] * 5 + ["generator"]
    assert names == one_cycle * 8  # 40 batches
    # No step pays for the other's gradients; dropout inside what is trained is on, and the features rest.
    assert all(moving == {name} and dropout and not body for name, moving, dropout, body in seen)
    rows = run.record.pretraining
    assert [row["stage"] for row in rows] == ["adversarial"] * 4 and [row["epoch"] for row in rows] == [1, 2, 3, 4]
    assert {"loss: critic", "loss: gradient penalty", "loss: generator", "spread"} <= rows[0].keys()
    assert {row["learning rate"] for row in rows} == {3e-3}  # constant
    assert np.stack(run.record.traces["adversarial: made features"]).shape == (4, 4, K)
    assert [row["stage"] for row in run.record.history] == ["features"]


def test_the_second_update_steps_by_its_own_gradient():
    """Two updates of one weight against each other, followed by hand: w ← w − lr·sign-like Adam steps."""
    model = network()
    model.head = nn.Linear(K, 3)
    pulls = []

    def pull(direction, name):
        def terms(model, batch):
            pulls.append(name)
            return {name: direction * model.head.bias[0]}

        return terms

    plain = {"trainable": ("head.bias",), "schedule": "constant", "weight_decay": 0.0}
    stages = [Stage("both", 1, [Update(pull(1.0, "down"), **plain), Update(pull(-1.0, "up"), every=2, **plain)])]
    before = model.head.bias[0].item()
    training(model, stages, batch_size=15, learning_rate=0.01).run()  # 4 batches: 4 down, 2 up
    assert pulls == ["down", "down", "up"] * 2
    # Adam's step for a gradient that never changes is its learning rate.
    assert model.head.bias[0].item() == pytest.approx(before - 4 * 0.01 + 2 * 0.01, abs=1e-5)


def test_an_update_has_betas_of_its_own():
    """With β = (0, 0) Adam's step is the sign of the gradient: up and down as often, the weight is where it was."""
    ends = {}
    for betas in ((0.0, 0.0), (0.9, 0.999)):
        model, signs = network(), [1.0, -1.0, -1.0, 1.0]
        start = model.head.bias[0].item()

        def terms(model, batch, signs=signs):
            return {"pull": signs.pop() * model.head.bias[0]}

        own = Update(terms, trainable=("head.bias",), betas=betas, weight_decay=0.0, schedule="constant")
        training(model, [Stage("pull", 1, own)], batch_size=15, learning_rate=0.01).run()
        ends[betas] = model.head.bias[0].item() - start
    assert abs(ends[0.0, 0.0]) < 1e-6 < 1e-3 < abs(ends[0.9, 0.999])


def test_only_the_named_rows_are_seen_in_batches_of_the_stages_own_size():
    rows, sizes, views = [], [], []

    def watch(model, batch):
        rows.extend(batch.index.tolist())
        sizes.append(len(batch))
        views.append(batch.augmentation)
        return classify(model, batch)

    few = torch.tensor([3, 5, 8, 13, 21, 34, 55])
    own = Augmentation(rotation=90)
    training(network(), [Stage("few", 2, watch, rows=few, batch_size=4, augmentation=own)]).run()
    assert sorted(rows) == sorted(few.tolist() * 2)
    assert sizes == [4, 3] * 2 and set(views) == {own}
    # The same rows as a mask, balanced: each class alike.
    rows.clear()
    mask = torch.zeros(len(TRAIN), dtype=torch.bool)
    mask[few] = True
    training(network(), [Stage("few", 60, watch, rows=mask, batch_size=4, sampler="class-balanced")]).run()
    assert set(rows) == set(few.tolist()) and len(rows) == 60 * 7
    share = torch.bincount(TRAIN.labels[rows]) / len(rows)
    assert (share - 1 / 3).abs().max() < 0.1


def test_features_are_those_of_the_rows():
    seen = []

    def watch(model, batch):
        seen.append((batch.inputs.clone(), batch.labels.clone()))
        return {"head": functional.cross_entropy(model.head(batch.inputs), batch.labels)}

    few, model = torch.tensor([2, 9, 17, 40]), network()
    head = Update(watch, trainable=("head.",))
    training(model, [Stage("head", 1, head, rows=few, inputs="pooled-features")]).run()
    ((features, labels),) = seen
    model.eval()
    with torch.no_grad():
        expected = model.pool(model.features(unit_range(TRAIN.images[few])))
    order = [next(i for i, row in enumerate(expected) if torch.allclose(row, mine, atol=1e-6)) for mine in features]
    assert sorted(order) == [0, 1, 2, 3] and torch.equal(labels, TRAIN.labels[few][order])


def test_begin_and_end_are_called_once_each_and_end_before_the_last_epoch_is_measured(tmp_path):
    calls = []

    def stages():
        def begin(model):
            calls.append("begin")
            nn.init.normal_(model.head.bias)

        def end(model):
            calls.append("end")
            model.head.bias.fill_(0.5)

        record = {"record": lambda model: {"bias": model.head.bias.sum()}}
        return [Stage("one", 2, classify, begin=begin, end=end, **record), Stage("two", 1, classify)]

    model = network()
    whole = training(model, stages())
    whole.run()
    assert calls == ["begin", "end"]
    assert whole.record.history[1]["bias"] == 1.5 and whole.record.history[0]["bias"] != 1.5
    assert "bias" not in whole.record.history[2]
    expected = outcome(model, whole.record)
    for stop in (1, 2):
        path, model = tmp_path / f"{stop}.safetensors", network()
        with pytest.raises(TrainingStopped):
            training(model, stages()).run(path, on_epoch=lambda report, stop=stop: report.epoch < stop)
        calls.clear()
        resumed = training(model := network(), stages())
        resumed.run(path)
        assert calls == (["end"] if stop == 1 else [])
        assert same(outcome(model, resumed.record), expected)


def test_nothing_supervised_is_measured_of_an_unsupervised_stage():
    measured = []

    def evaluate(model):
        measured.append(model)
        return {"recall": 0.5}, {"map": np.zeros(3)}

    model, stages = segmentation_then_classification()
    run = training(model, stages, evaluate=evaluate)
    run.run()
    assert len(measured) == 2
    assert [row["epoch"] for row in run.record.pretraining] == [1, 2, 3]
    assert [row["epoch"] for row in run.record.history] == [1, 2]
    assert all("recall" not in row for row in run.record.pretraining)
    assert len(run.record.traces["map"]) == 2


def test_the_encoder_keeps_what_the_masks_taught_it():
    """The lesions are found, and the classification begins from the encoder that finds them."""
    model = add_decoder(network("unet"))
    caught = {}

    def begin(model):
        caught.update({name: tensor.clone() for name, tensor in model.body.state_dict().items()})

    stages = [segmentation_stage(12, learning_rate=3.0), Stage("classification", 1, classify, begin=begin)]
    before = {name: tensor.clone() for name, tensor in model.body.state_dict().items()}
    head = model.head.weight.clone()
    run = training(model, stages)
    first = training(add_decoder(network("unet")), stages[:1])
    first.run()
    run.run()
    assert not torch.equal(caught["down.0.0.weight"], before["down.0.0.weight"])
    assert all(torch.equal(caught[name], tensor) for name, tensor in first.model.body.state_dict().items())
    assert torch.equal(first.model.head.weight, head)  # segmentation moves no head
    first.model.eval()
    with torch.no_grad():
        found = segment(first.model, unit_range(TRAIN.images)) > 0
    bright = TRAIN.labels > 0
    overlap = (found & TRAIN.masks).sum(dim=(1, 2)) / (found | TRAIN.masks).sum(dim=(1, 2))
    assert overlap[bright].median() > 0.5


def test_what_is_recorded_does_not_move_with_the_network():
    record = {"record": lambda model: {"mean": model.body[1].running_mean, "weight": model.head.weight}}
    run = training(network(), [Stage("all", 3, classify, **record)])
    run.run()
    for name in ("all: mean", "all: weight"):
        first, second, third = run.record.traces[name]
        assert not np.array_equal(first, second) and not np.array_equal(second, third)


def test_a_table_of_features_is_trained_on_like_images(tmp_path):
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(40) % 2
    features = torch.randn(40, 5, generator=generator) + 3 * labels[:, None]
    results = []
    for stop in (None, 2):
        torch.manual_seed(0)
        model = nn.Linear(5, 2)

        def terms(model, batch):
            return {"loss": functional.cross_entropy(model(batch.inputs), batch.labels)}

        def run(on_epoch=None, model=model, terms=terms, stop=stop):
            one = Training(
                model=model,
                stages=[Stage("head", 6, Update(terms))],
                train=FeatureTable(features, labels),
                augmentation=Augmentation(),
                seed=0,
                batch_size=8,
                learning_rate=0.05,
                weight_decay=0.0,
            )
            one.run(tmp_path / f"{stop}.safetensors", on_epoch=on_epoch)
            return one

        if stop:
            with pytest.raises(TrainingStopped):
                run(lambda report: report.epoch < 2)
        results.append(outcome(model, run().record))
    assert same(*results)
    assert (model(features).argmax(dim=1) == labels).float().mean() > 0.95


def test_no_batch_is_of_a_single_image_and_momentum_that_somebody_has_set_stays():
    model, sizes = network(own=lambda: nn.BatchNorm1d(K, momentum=0.01)), []

    def watch(model, batch):
        sizes.append(len(batch))
        return classify(model, batch)

    training(model, [Stage("few", 2, watch, rows=[0, 1, 2], batch_size=2)]).run()
    assert sizes == [3, 3]
    assert model.training_parts["own"].momentum == 0.01 and model.body[1].momentum == 0.5


# ---- sharing ---------------------------------------------------------------------------------------------------------


def test_a_leading_run_of_stages_is_shared_and_changes_no_bit(tmp_path):
    """What is kept is what the stages move, so that a network with other parts can begin from it."""

    def counted(update, name, updates):
        return replace(update, terms=lambda model, batch: updates.append(name) or update.terms(model, batch))

    def stages(updates):
        model, [pretraining, _], _ = contrastive_then_few_labels()
        pretraining = replace(pretraining, updates=counted(pretraining.updates[0], "pretraining", updates))
        head = counted(Update(classify, trainable=("head.",)), "probe", updates)
        return model, [pretraining, Stage("probe", 2, head), Stage("all", 1, classify)]

    def kept(stages):
        return [SharedStages(tmp_path / f"{number}.safetensors", {"first": number}) for number in (1, 2)]

    updates: list[str] = []
    model, declared = stages(updates)
    run = training(model, declared)
    run.run()
    expected = outcome(model, run.record)
    everything = ["pretraining"] * 3 + ["probe"] * 8
    assert updates == everything
    # First there is none; then both, the first alone, none again, and the second alone.
    for left, trained in [((), everything), ((1, 2), []), ((1,), everything[3:]), ((), everything), ((2,), [])]:
        for path in tmp_path.iterdir():
            if int(path.stem) not in left:
                path.unlink()
        updates.clear()
        model, declared = stages(updates)
        run = training(model, declared)
        run.run(shared=kept(declared))
        assert same(outcome(model, run.record), expected)
        assert updates == trained, left
        assert {int(p.stem) for p in tmp_path.iterdir()} == {*left} | ({1, 2} if trained else set())
    # Another head and one more part: the body is the shared one, its own parts are its own.
    model, declared = stages(updates)
    model.training_parts["other"] = nn.Linear(2, 2)
    model.head = nn.Linear(K, 3)
    own = model.head.weight.clone()
    updates.clear()
    training(model, declared[:1]).run(shared=kept(declared)[:1])
    assert updates == ["pretraining"] * 3  # it had been left out
    updates.clear()
    other = training(model, declared[:1])
    other.run(shared=kept(declared)[:1])
    assert updates == [] and torch.equal(model.head.weight, own)
    assert len(other.record.pretraining) == 3


def test_what_a_shared_stage_changes_beside_what_it_moves_is_shared_too(tmp_path):
    """Statistics, queues, a head that starts afresh: `begin` and `end` may set them."""

    def stages():
        def end(model):
            model.training_parts["scale"].running_var.fill_(7.0)
            nn.init.normal_(model.head.weight)

        first = Stage("first", 1, Update(classify, trainable=("body.",)), end=end, shared={}, supervised=False)
        return network(scale=lambda: nn.BatchNorm1d(2)), [first, Stage("second", 1, classify)]

    outcomes = []
    kept = [SharedStages(tmp_path / "kept.safetensors", {})]
    for shared in ([], kept, kept):
        model, declared_stages = stages()
        run = training(model, declared_stages)
        run.run(shared=shared)
        outcomes.append(outcome(model, run.record))
    assert same(outcomes[0], outcomes[1]) and same(outcomes[0], outcomes[2])


def test_a_shared_stage_is_kept_also_where_the_training_stops_right_after_it(tmp_path):
    model, declared_stages, images = contrastive_then_few_labels()
    kept = [SharedStages(tmp_path / "kept.safetensors", {})]
    with pytest.raises(TrainingStopped):
        training(model, declared_stages, images).run(on_epoch=lambda report: report.epoch < 3, shared=kept)
    assert kept[0].path.exists()


def test_a_shared_outcome_that_does_not_fit_is_named_and_changes_nothing(tmp_path):
    kept = [SharedStages(tmp_path / "kept.safetensors", {})]
    model, declared_stages, images = contrastive_then_few_labels()
    training(model, declared_stages, images).run(shared=kept)
    outcomes = []
    for shared in (kept, []):
        model, declared_stages, images = contrastive_then_few_labels()
        torch.manual_seed(1)
        model.training_parts["projector"] = nn.Sequential(nn.Linear(K, 32), nn.ReLU(), nn.Linear(32, 8))
        run = training(model, declared_stages, images)
        if shared:
            with pytest.warns(UserWarning, match="another network.*trained again"):
                run.run(shared=shared)
        else:
            run.run()
        outcomes.append(outcome(model, run.record))
    assert same(*outcomes)


def test_what_a_stage_declares_tells_it_from_others():
    def declared_of(*updates, **options):
        return declared(Stage("x", 1, updates or classify, **options))

    plain = declared_of()
    others = [
        declared_of(sampler="class-balanced"),
        declared_of(batch_size=8),
        declared_of(rows=[1, 2]),
        declared_of(rows=[1, 3]),
        declared_of(augmentation=Augmentation(rotation=5)),
        declared_of(supervised=False),
        declared_of(begin=lambda model: None),
        declared_of(Update(classify, learning_rate=0.5)),
        declared_of(Update(classify, schedule="constant")),
        declared_of(Update(classify, trainable=("head.",))),
        declared_of(Update(classify), Update(classify, every=2)),
    ]
    texts = [json.dumps(values, sort_keys=True) for values in (plain, *others)]
    assert len(set(texts)) == len(texts)
    assert declared_of(Update(classify)) == plain


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    path = tmp_path / "training.safetensors"
    training(network(), [Stage("all", 1, classify)]).run(path)
    with pytest.raises(CheckpointError, match="another network or careedu"):
        training(add_decoder(network("unet")), [Stage("all", 1, classify)]).run(path)


# ---- what cannot be --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: Stage("x", 0, classify), "epochs=0"),
        (lambda: Stage("x", 1, []), "no update"),
        (lambda: Stage("x", 1, classify, batch_size=1), "batch_size=1"),
        (lambda: Stage("x", 1, classify, rows=torch.zeros(60, dtype=torch.bool)), "no training image"),
        (lambda: Stage("x", 1, classify, rows=[-1, 2]), "a row that is none"),
        (lambda: Stage("x", 1, classify, inputs="pooled-features"), "must name what is trainable"),
        (lambda: Stage("x", 1, classify, sampler="weighted"), "samplers: shuffle"),
        (lambda: Stage("x", 2.0, classify), "epochs=2.0"),
        (lambda: Stage("x", 1, classify, rows=[0.5, 1.5]), "whole numbers from 0"),
        (lambda: training(network(), [Stage("x", 1, classify, rows=torch.ones(59, dtype=torch.bool))]).run(), "row 58"),
        (
            lambda: Stage("x", 1, Update(classify, trainable=("after.", "head.")), inputs="feature-maps"),
            "nothing that the features come from: not 'after.', 'head.'",
        ),
        (lambda: training(network(), [Stage("x", 1, classify), Stage("x", 1, classify)]).run(), "names of their own"),
        (lambda: training(network(), [Stage("x", 1, [Update(classify)] * 2)]).run(), "have a term called"),
        (
            lambda: training(network(), [Stage("x", 1, Update(classify, trainable=["head.", "projector."]))]).run(),
            "begin with 'projector.'.*parts: body, head",
        ),
        (
            lambda: training(
                network(),
                [
                    Stage(
                        "x",
                        1,
                        Update(classify, trainable=("head.",)),
                        inputs="pooled-features",
                        resample=lambda model, features, labels, seed: (features[:5], labels[:5]),
                    )
                ],
            ).run(),
            "leaves 5 rows for 4 batches",
        ),
        (lambda: Update(classify, every=0), "every=0"),
        (lambda: Update(classify, every=True), "every=True"),
        (lambda: Update(classify, trainable="head."), r"\('head.',\)"),
        (lambda: Update(classify, learning_rate=-1.0), "learning_rate=-1.0"),
        (lambda: training(network(), [Stage("x", 1, classify, rows=[2, 60])]).run(), "row 60 of 60"),
        (lambda: training(network(), [Stage("x", 1, Update(classify, trainable=("hed.",)))]).run(), "hed"),
        (lambda: training(network(), [Stage("x", 1, Update(classify, every=9))]).run(), "every 9 batches"),
    ],
)
def test_what_cannot_be_is_named(declare, words):
    with pytest.raises(InvalidInputError, match=words):
        declare()


def test_a_recorded_number_that_is_none_stops_the_training():
    stage = Stage("x", 1, classify, record=lambda model: {"spread": torch.tensor(torch.inf)})
    with pytest.raises(CareeduError, match="'x' records 'spread' = inf"):
        training(network(), [stage]).run()


def test_an_unknown_schedule_gets_a_suggestion():
    with pytest.raises(UnknownNameError, match="'one-cycle'"):
        Update(classify, schedule="one-cycel")


def test_what_moves_in_several_stages():
    head, body = Update(classify, trainable=("head.",)), Update(classify, trainable=("body.", "head."))
    assert trainable_in([head, body]) == ("head.", "body.")
    assert trainable_in([head, Update(classify)]) is None
    assert Stage("x", 1, [head, body]).trainable == ("head.", "body.")
