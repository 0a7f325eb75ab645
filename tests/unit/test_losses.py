"""The losses against references written anew in numpy, worked numbers, autograd's own check, and independent peers."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lightly.loss import NTXentLoss
from torch.nn import functional

from careedu.errors import InvalidInputError
from careedu.nn import losses

SKIN = [890, 5364, 411, 261, 879, 92, 113]
MIXED = [297, 30, 175]
DOUBLE = torch.float64


# ---- references: numpy, float64, one image at a time -----------------------------------------------------------------


def log_softmax(row):
    largest = max(row)
    return [value - largest - math.log(sum(math.exp(other - largest) for other in row)) for value in row]


def mean_over_batch(logits, target, per_image):
    total = 0.0
    for row, y in zip(np.asarray(logits, dtype=np.float64).tolist(), np.asarray(target).tolist(), strict=True):
        total += per_image(row, y)
    return total / len(logits)


def reference_weighted(logits, target, weight):
    return mean_over_batch(logits, target, lambda row, y: -weight[y] * log_softmax(row)[y])


def reference_focal(logits, target, gamma, weight):
    def one(row, y):
        log_p = log_softmax(row)[y]
        return -weight[y] * (1 - math.exp(log_p)) ** gamma * log_p

    return mean_over_batch(logits, target, one)


def reference_ldam(logits, target, counts, max_margin, scale, weight):
    rarest = max(n**-0.25 for n in counts)

    def one(row, y):
        shifted = list(row)
        shifted[y] -= max_margin * counts[y] ** -0.25 / rarest
        return -weight[y] * log_softmax([scale * value for value in shifted])[y]

    return mean_over_batch(logits, target, one)


def reference_adjusted(logits, target, counts, tau):
    prior = [tau * math.log(n / sum(counts)) for n in counts]
    return mean_over_batch(
        logits, target, lambda row, y: -log_softmax([s + p for s, p in zip(row, prior, strict=True)])[y]
    )


def reference_nt_xent(z1, z2, temperature):
    views = [np.asarray(z, dtype=np.float64) / np.linalg.norm(z) for z in (*z1, *z2)]
    total = 0.0
    for anchor in range(len(views)):
        positive = (anchor + len(z1)) % len(views)
        similarity = {b: float(views[anchor] @ views[b]) / temperature for b in range(len(views)) if b != anchor}
        total += math.log(sum(math.exp(value) for value in similarity.values())) - similarity[positive]
    return total / len(views)


@st.composite
def batches(draw):
    size, classes = draw(st.integers(1, 9)), draw(st.integers(2, 7))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = random.normal(size=(size, classes)) * draw(st.sampled_from([0.1, 1.0, 6.0]))
    target = random.integers(classes, size=size)
    counts = random.integers(1, 3000, size=classes)
    weight = random.uniform(0, 3, size=classes)
    return logits, target, counts, weight


def as_tensors(logits, target):
    return torch.from_numpy(logits), torch.from_numpy(target)


# ---- weights ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("counts", "beta", "expected"),
    [
        (SKIN, 0.999, [0.366, 0.217, 0.640, 0.939, 0.369, 2.453, 2.018]),
        (SKIN, 0.9999, [0.286, 0.059, 0.604, 0.944, 0.289, 2.655, 2.164]),
        (MIXED, 0.9999, [0.241, 2.353, 0.406]),
    ],
)
def test_effective_number_weights_equal_the_worked_table(counts, beta, expected):
    assert losses.effective_number_weights(counts, beta).tolist() == pytest.approx(expected, abs=6e-4)


def test_inverse_frequency_weights_equal_the_worked_row_and_differ_from_the_effective_number():
    inverse = losses.inverse_frequency_weights(MIXED)
    assert inverse.tolist() == pytest.approx([0.238, 2.358, 0.404], abs=6e-4)
    assert (inverse - losses.effective_number_weights(MIXED)).abs().max() > 0.004


@given(st.lists(st.integers(1, 10**7), min_size=1, max_size=12), st.sampled_from([0.0, 0.5, 0.9, 0.99, 0.999, 0.9999]))
def test_weights_equal_their_formulas_and_sum_to_the_number_of_classes(counts, beta):
    inverse = [1 / n for n in counts]
    effective = [(1 - beta) / (1 - beta**n) for n in counts]
    for weights, raw in (
        (losses.inverse_frequency_weights(counts), inverse),
        (losses.effective_number_weights(counts, beta), effective),
    ):
        assert weights.sum().item() == pytest.approx(len(counts))
        assert weights.tolist() == pytest.approx([len(raw) * value / sum(raw) for value in raw], rel=1e-9)


def test_effective_number_has_its_two_limits():
    assert losses.effective_number_weights(MIXED, 0.0).tolist() == [1.0, 1.0, 1.0]
    nearly_one = losses.effective_number_weights(MIXED, 1 - 1e-12)
    assert nearly_one.tolist() == pytest.approx(losses.inverse_frequency_weights(MIXED).tolist(), rel=1e-8)


@pytest.mark.parametrize("beta", [1.0, -0.1, 2.0, math.nan])
def test_beta_out_of_range_is_refused(beta):
    with pytest.raises(InvalidInputError, match="beta"):
        losses.effective_number_weights(MIXED, beta)


@pytest.mark.parametrize(
    "counts",
    [
        MIXED,
        tuple(MIXED),
        [297.0, 30.0, 175.0],
        np.array(MIXED),
        np.array(MIXED, dtype=np.uint16),
        torch.tensor(MIXED),
        torch.tensor(MIXED, dtype=torch.int32),
        torch.tensor(MIXED, dtype=DOUBLE),
    ],
    ids=["list", "tuple", "floats", "array", "uint16", "int64", "int32", "float64"],
)
@pytest.mark.parametrize(
    "function", [losses.inverse_frequency_weights, losses.effective_number_weights, losses.ldam_margins]
)
def test_counts_of_any_kind_give_the_same_bits(function, counts):
    result = function(counts)
    assert result.dtype == DOUBLE
    assert torch.equal(result, function(torch.tensor([297.0, 30.0, 175.0], dtype=DOUBLE)))


@pytest.mark.parametrize("counts", [torch.tensor(SKIN, dtype=torch.float32), np.array(SKIN, dtype=np.float32)])
def test_float32_counts_give_float32_weights_computed_in_float64(counts):
    weights = losses.effective_number_weights(counts)
    assert weights.dtype == torch.float32
    assert torch.equal(weights, losses.effective_number_weights(SKIN).float())


def test_a_count_of_one_is_fine():
    assert losses.inverse_frequency_weights([1, 1]).tolist() == [1.0, 1.0]
    assert losses.effective_number_weights([1, 9], 0.5)[0] > 1
    assert losses.ldam_margins([1]).tolist() == [0.5]


NEED_COUNTS = {
    "inverse": losses.inverse_frequency_weights,
    "effective": losses.effective_number_weights,
    "margins": losses.ldam_margins,
    "ldam": lambda counts: losses.ldam_loss(torch.zeros(2, 3), torch.tensor([0, 1]), counts),
    "adjusted": lambda counts: losses.logit_adjusted_loss(torch.zeros(2, 3), torch.tensor([0, 1]), counts),
}


@pytest.mark.parametrize("name", NEED_COUNTS)
@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([5, 0, 2], "class 1 has no training image.*leave the class out"),
        ([5, 3, -1], "class 2 is -1"),
        ([math.nan, 3, 1], "class 0 is nan"),
        ([4, math.inf, 1], "class 1 is inf"),
        ([[5, 3, 1]], r"\(C,\)"),
        ([], r"\(C,\)"),
        (["many", "few", "none"], "numbers"),
    ],
    ids=["zero", "negative", "nan", "infinite", "two-dimensional", "none", "words"],
)
def test_impossible_counts_are_refused_with_the_class(name, counts, message):
    with pytest.raises(InvalidInputError, match=message):
        NEED_COUNTS[name](counts)


@pytest.mark.parametrize("name", ["ldam", "adjusted"])
@pytest.mark.parametrize("counts", [[4, 5], [4, 5, 6, 7]])
def test_one_count_per_class_is_asked_for(name, counts):
    with pytest.raises(InvalidInputError, match=f"{len(counts)} counts.*3 classes"):
        NEED_COUNTS[name](counts)


# ---- the losses against their references -----------------------------------------------------------------------------


@settings(deadline=None)
@given(batches())
def test_weighted_cross_entropy_equals_its_reference(batch):
    logits, target, _, weight = batch
    value = losses.weighted_cross_entropy(*as_tensors(logits, target), weight).item()
    assert value == pytest.approx(reference_weighted(logits, target, weight), abs=1e-6, rel=1e-9)


@settings(deadline=None)
@given(batches(), st.sampled_from([0.0, 0.3, 1.0, 2.0, 5.0]), st.booleans())
def test_focal_loss_equals_its_reference(batch, gamma, weighted):
    logits, target, _, weight = batch
    value = losses.focal_loss(*as_tensors(logits, target), gamma, weight if weighted else None).item()
    expected = reference_focal(logits, target, gamma, weight if weighted else np.ones(len(weight)))
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)


@settings(deadline=None)
@given(batches(), st.sampled_from([0.0, 0.5, 0.8]), st.sampled_from([1.0, 30.0]), st.booleans())
def test_ldam_loss_equals_its_reference(batch, max_margin, scale, weighted):
    logits, target, counts, weight = batch
    cosines = np.tanh(logits)
    value = losses.ldam_loss(
        *as_tensors(cosines, target), counts, max_margin, scale, weight if weighted else None
    ).item()
    expected = reference_ldam(
        cosines, target, counts.tolist(), max_margin, scale, weight if weighted else np.ones(len(weight))
    )
    assert value == pytest.approx(expected, abs=1e-6, rel=1e-9)


@settings(deadline=None)
@given(batches(), st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0]))
def test_logit_adjusted_loss_equals_its_reference(batch, tau):
    logits, target, counts, _ = batch
    value = losses.logit_adjusted_loss(*as_tensors(logits, target), counts, tau).item()
    assert value == pytest.approx(reference_adjusted(logits, target, counts.tolist(), tau), abs=1e-6, rel=1e-9)


@settings(deadline=None)
@given(
    st.integers(2, 9), st.integers(1, 6), st.sampled_from([0.07, 0.2, 1.0]), st.floats(1e-6, 1e6), st.integers(0, 2**31)
)
def test_nt_xent_equals_its_reference_whatever_the_lengths_of_the_vectors(size, width, temperature, length, seed):
    random = np.random.default_rng(seed)
    z1, z2 = random.normal(size=(2, size, width))
    value = losses.nt_xent(torch.from_numpy(z1 * length), torch.from_numpy(z2), temperature).item()
    assert value == pytest.approx(reference_nt_xent(z1, z2, temperature), abs=1e-6, rel=1e-9)


# ---- worked numbers and identities -----------------------------------------------------------------------------------


def test_focal_worked_number():
    logits = torch.tensor([[math.log(0.9), math.log(0.1)]], dtype=DOUBLE)
    assert losses.focal_loss(logits, torch.tensor([0])).item() == pytest.approx(0.0010536, abs=5e-8)


def test_focal_without_gamma_is_cross_entropy_in_value_and_gradient():
    logits = torch.randn(6, 4, dtype=DOUBLE, generator=torch.Generator().manual_seed(0)).requires_grad_()
    target = torch.tensor([0, 1, 2, 3, 3, 1])
    ours, theirs = losses.focal_loss(logits, target, gamma=0), functional.cross_entropy(logits, target)
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-12)
    pair = [torch.autograd.grad(value, logits)[0] for value in (ours, theirs)]
    torch.testing.assert_close(*pair)


def test_ldam_worked_margins():
    margins = losses.ldam_margins([100, 10, 1], max_margin=0.5)
    assert margins.tolist() == pytest.approx([0.1581, 0.2812, 0.5], abs=5e-5)


def test_logit_adjustment_worked_number_has_the_right_sign():
    logits = torch.zeros(1, 2, dtype=DOUBLE)
    assert losses.logit_adjusted_loss(logits, torch.tensor([1]), [90, 10]).item() == pytest.approx(math.log(10))
    assert losses.logit_adjusted_loss(logits, torch.tensor([0]), [90, 10]).item() == pytest.approx(math.log(10 / 9))


def test_nt_xent_worked_number():
    z = torch.eye(2, dtype=DOUBLE)
    assert losses.nt_xent(z, z, temperature=1.0).item() == pytest.approx(0.5514, abs=5e-5)


def test_nt_xent_has_the_temperature_of_the_contract():
    z = torch.eye(2, dtype=DOUBLE)
    assert losses.nt_xent(z, z).item() == losses.nt_xent(z, z, temperature=0.2).item()


def test_weights_are_not_divided_by_their_sum_as_torch_does():
    logits = torch.zeros(4, 2, dtype=DOUBLE)
    target, weight = torch.tensor([0, 0, 0, 1]), torch.tensor([0.5, 1.5], dtype=DOUBLE)
    ours = losses.weighted_cross_entropy(logits, target, weight)
    torchs = functional.cross_entropy(logits, target, weight)
    assert ours.item() == pytest.approx(0.75 * math.log(2))
    assert torchs.item() == pytest.approx(math.log(2))


@settings(deadline=None)
@given(st.integers(2, 12), st.sampled_from([0.1, 0.5]), st.integers(0, 2**31))
def test_nt_xent_agrees_with_lightly(size, temperature, seed):
    generator = torch.Generator().manual_seed(seed)
    z1, z2 = (torch.randn(size, 8, generator=generator, requires_grad=True) for _ in range(2))
    ours, theirs = losses.nt_xent(z1, z2, temperature), NTXentLoss(temperature)(z1, z2)
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    for mine, peer in zip(torch.autograd.grad(ours, (z1, z2)), torch.autograd.grad(theirs, (z1, z2)), strict=True):
        torch.testing.assert_close(mine, peer, atol=1e-5, rtol=1e-4)


# ---- gradients and extremes ------------------------------------------------------------------------------------------

COUNTS = [500, 40, 3]
CLASSIFICATION = {
    "weighted": lambda logits, target: losses.weighted_cross_entropy(logits, target, [0.2, 1.0, 1.8]),
    "focal": lambda logits, target: losses.focal_loss(logits, target, 2.0, [0.2, 1.0, 1.8]),
    "focal-0": lambda logits, target: losses.focal_loss(logits, target, 0.0),
    "focal-half": lambda logits, target: losses.focal_loss(logits, target, 0.5),
    "ldam": lambda logits, target: losses.ldam_loss(logits, target, COUNTS, weight=[0.2, 1.0, 1.8]),
    "adjusted": lambda logits, target: losses.logit_adjusted_loss(logits, target, COUNTS),
}
every_loss = pytest.mark.parametrize("loss", CLASSIFICATION.values(), ids=CLASSIFICATION)


@every_loss
def test_gradients_are_those_of_the_values(loss):
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(5, 3, dtype=DOUBLE, generator=generator).requires_grad_()
    target = torch.tensor([0, 1, 2, 2, 0])
    assert torch.autograd.gradcheck(lambda s: loss(s, target), logits)


def test_nt_xent_gradients_are_those_of_the_values():
    generator = torch.Generator().manual_seed(4)
    pair = [torch.randn(3, 4, dtype=DOUBLE, generator=generator).requires_grad_() for _ in range(2)]
    assert torch.autograd.gradcheck(losses.nt_xent, pair)


@every_loss
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, DOUBLE])
def test_extreme_logits_stay_finite(loss, dtype):
    rows = [[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [1e4, 1e4, 1e4], [0.0, 0.0, -1e4], [-1e4, -1e4, -1e4]]
    logits = torch.tensor([row for row in rows for _ in range(3)], dtype=dtype, requires_grad=True)
    value = loss(logits, torch.arange(3).repeat(len(rows)))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_focal_of_a_certain_answer_is_zero_and_of_a_certain_mistake_is_the_margin():
    logits = torch.tensor([[1e4, -1e4]], requires_grad=True)
    assert losses.focal_loss(logits, torch.tensor([0]), 0.5).item() == 0
    assert losses.focal_loss(logits, torch.tensor([1]), 0.5).item() == 2e4


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_of_a_single_class_is_zero(gamma):
    logits = torch.tensor([[3.0], [-2.0]], requires_grad=True)
    target = torch.tensor([0, 0])
    value = losses.focal_loss(logits, target, gamma)
    value.backward()
    assert value.item() == 0
    assert logits.grad.tolist() == [[0.0], [0.0]]


def test_nt_xent_of_one_pair_and_of_zero_vectors_is_finite():
    z = torch.randn(1, 4, requires_grad=True)
    alone = losses.nt_xent(z, z * 2)
    assert alone.item() == 0
    zero = torch.zeros(3, 4, requires_grad=True)
    value = losses.nt_xent(zero, torch.randn(3, 4), temperature=0.1)
    value.backward()
    assert value.isfinite()
    assert zero.grad.isfinite().all()
    assert zero.grad.abs().max() < 100  # not the 1e12 of a division by a tiny length


@every_loss
@pytest.mark.parametrize(
    ("given_dtype", "result"),
    [(DOUBLE, DOUBLE), (torch.float32, torch.float32), (torch.float16, torch.float32), (torch.bfloat16, torch.float32)],
)
def test_dtype_of_the_loss(loss, given_dtype, result):
    value = loss(torch.randn(2, 3, generator=torch.Generator().manual_seed(0)).to(given_dtype), torch.tensor([0, 2]))
    assert value.dtype == result
    assert value.shape == ()


def test_nt_xent_keeps_float64_and_is_not_rounded_by_autocast():
    generator = torch.Generator().manual_seed(1)
    z1, z2 = torch.randn(2, 16, 8, generator=generator)
    assert losses.nt_xent(z1.double(), z2.double()).dtype == DOUBLE
    exact = losses.nt_xent(z1, z2, 0.05)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = losses.nt_xent(z1, z2, 0.05)
    assert rounded.dtype == torch.float32
    torch.testing.assert_close(rounded, exact)


@every_loss
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int32, torch.int64])
def test_any_integer_target_will_do(loss, dtype):
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    assert loss(logits, torch.tensor([2, 0, 1], dtype=dtype)) == loss(logits, torch.tensor([2, 0, 1]))


# ---- what is refused -------------------------------------------------------------------------------------------------


@every_loss
@pytest.mark.parametrize(
    ("logits", "target", "message"),
    [
        (torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64), "batch is empty"),
        (torch.zeros(3), torch.tensor([0, 1, 2]), r"logits must be float \(B, C\)"),
        (torch.zeros(2, 3, 1), torch.tensor([0, 1]), r"logits must be float \(B, C\)"),
        (torch.zeros(2, 3, dtype=torch.int64), torch.tensor([0, 1]), "logits must be float"),
        (torch.zeros(2, 3), torch.tensor([0, 1, 2]), r"target must be \(2,\)"),
        (torch.zeros(2, 3), torch.zeros(2, 3), r"target must be \(2,\)"),
        (torch.zeros(2, 3), torch.tensor([0.0, 1.0]), "target must be an integer tensor"),
        (torch.zeros(2, 3), torch.tensor([True, False]), "target must be an integer tensor"),
        (torch.zeros(2, 3), torch.tensor([0, 3]), "target holds 3.*classes 0 to 2"),
        (torch.zeros(2, 3), torch.tensor([-100, 1]), "target holds -100.*ignore_index"),
    ],
    ids=["empty", "flat", "maps", "int-logits", "length", "one-hot", "float", "bool", "large", "ignored"],
)
def test_impossible_batches_are_refused(loss, logits, target, message):
    with pytest.raises(InvalidInputError, match=message):
        loss(logits, target)


@pytest.mark.parametrize("function", ["weighted", "focal", "ldam"])
@pytest.mark.parametrize(
    ("weight", "message"), [([1.0, 2.0], "2 counts or weights"), ([1.0, -2.0, 1.0], "weight of class 1 is -2")]
)
def test_impossible_weights_are_refused(function, weight, message):
    logits, target = torch.zeros(2, 3), torch.tensor([0, 1])
    calls = {
        "weighted": lambda: losses.weighted_cross_entropy(logits, target, weight),
        "focal": lambda: losses.focal_loss(logits, target, weight=weight),
        "ldam": lambda: losses.ldam_loss(logits, target, COUNTS, weight=weight),
    }
    with pytest.raises(InvalidInputError, match=message):
        calls[function]()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s, y: losses.focal_loss(s, y, gamma=-1.0), "gamma"),
        (lambda s, y: losses.focal_loss(s, y, gamma=math.nan), "gamma"),
        (lambda s, y: losses.ldam_loss(s, y, COUNTS, max_margin=-0.1), "max_margin"),
        (lambda s, y: losses.ldam_loss(s, y, COUNTS, scale=0.0), "scale"),
        (lambda s, y: losses.logit_adjusted_loss(s, y, COUNTS, tau=math.inf), "tau"),
        (lambda s, y: losses.nt_xent(s, s, temperature=0.0), "temperature"),
        (lambda s, y: losses.nt_xent(s, s[:1]), "z1 and z2"),
        (lambda s, y: losses.nt_xent(s[0], s[0]), "z1 and z2"),
        (lambda s, y: losses.nt_xent(s[:0], s[:0]), "at least one row"),
        (lambda s, y: losses.nt_xent(s.long(), s.long()), "float"),
    ],
)
def test_impossible_options_are_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call(torch.zeros(2, 3), torch.tensor([0, 1]))
