"""ACGAN and WGAN-GP: losses against loops, training against what collapse would look like."""

import numpy as np
import pytest
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

from careedu.errors import InvalidInputError
from careedu.measure.feature_quality import frechet_distance
from careedu.methods.adversarial import (
    ACGAN,
    CLASS_WEIGHT,
    PENALTY,
    WGANGP,
    discriminator_loss,
    generator_loss,
    gradient_penalty,
    scale_of,
)

BOTH = pytest.mark.parametrize("kind", [ACGAN, WGANGP])
MEANS = torch.tensor([[2.0, 0, 0, 1, 1, 0], [0, 2, 0, 0, 1, 1], [0, 0, 2, 1, 0, 1]])


def clouds(counts=(60, 30, 12), spread=0.4):
    """Features of three classes: normal around means that lie apart."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(3).repeat_interleave(torch.tensor(counts))
    return MEANS[labels] + spread * torch.randn(len(labels), 6, generator=generator), labels


def trained(kind, features, labels, epochs=400, **options):
    torch.manual_seed(1)
    return kind(features.shape[1:], 3).fit(features, labels, epochs=epochs, **options)


def made_by(gan, labels, seed=0):
    return gan.sample(labels, torch.Generator().manual_seed(seed))


# The losses


def logits(seed, n=5, classes=3):
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(n, generator=generator, dtype=torch.float64) * 3
    return (source, torch.randn(n, classes, generator=generator, dtype=torch.float64)), torch.arange(n) % classes


def log_probability(classes, label):
    return float(classes[label]) - float(np.log(np.exp(classes.numpy()).sum()))


@pytest.mark.parametrize("seed", range(5))
def test_the_losses_of_acgan_are_those_of_loops(seed):
    (real, y), (made, wanted) = logits(seed), logits(seed + 100, n=4)

    def sigmoid(s):
        return 1 / (1 + np.exp(-float(s)))

    is_real = np.mean([np.log(sigmoid(s)) for s in real[0]])
    is_made = np.mean([np.log(1 - sigmoid(s)) for s in made[0]])
    right = np.mean([log_probability(c, label) for c, label in zip(real[1], y, strict=True)])
    asked = np.mean([log_probability(c, label) for c, label in zip(made[1], wanted, strict=True)])
    of_discriminator, of_generator = discriminator_loss(real, y, made, wanted), generator_loss(made, wanted)
    assert float(of_discriminator["source"]) == pytest.approx(-is_real - is_made, abs=1e-12)
    assert float(of_discriminator["class"]) == pytest.approx(-right - asked, abs=1e-12)
    assert float(of_generator["source"]) == pytest.approx(-np.mean([np.log(sigmoid(s)) for s in made[0]]), abs=1e-12)
    assert float(of_generator["class"]) == pytest.approx(-asked, abs=1e-12)


def test_a_generator_that_is_found_out_has_a_gradient():
    """What saturates: log(1 − σ(s)), and the negative log-likelihood of a probability in the place of a logit."""
    source = torch.full((4,), -40.0, requires_grad=True)
    loss = generator_loss((source, torch.zeros(4, 3)), torch.zeros(4, dtype=torch.long))
    (slope,) = torch.autograd.grad(loss["source"], source)
    torch.testing.assert_close(slope, torch.full((4,), -0.25))
    assert float(torch.autograd.grad(torch.log(1 - source.sigmoid()).mean(), source)[0].abs().max()) < 1e-10
    for size in (-1e4, 1e4):
        extreme = torch.full((2,), size), torch.tensor([[size, 0, 0], [0, size, 0]])
        assert all(bool(term.isfinite()) for term in generator_loss(extreme, torch.tensor([0, 1])).values())


def test_the_penalty_of_a_plane_is_how_far_its_slope_is_from_one():
    w = torch.tensor([3.0, 4.0], dtype=torch.float64)
    real, made, mix = (torch.rand(6, n, dtype=torch.float64) for n in (2, 2, 1))
    assert float(gradient_penalty(lambda x: x @ w, real, made, mix)) == pytest.approx((5 - 1) ** 2)
    assert float(gradient_penalty(lambda x: x @ w / 5, real, made, mix)) == pytest.approx(0, abs=1e-12)


def test_the_penalty_is_taken_between_real_and_generated():
    """Of f = ‖x‖²/2 the gradient is x itself."""
    real, made, mix = torch.tensor([[4.0, 0.0]]), torch.tensor([[0.0, 0.0]]), torch.tensor([[0.75]])
    penalty = gradient_penalty(lambda x: x.square().sum(1) / 2, real, made, mix)
    assert penalty.item() == pytest.approx((3 - 1) ** 2)


def test_the_penalty_moves_the_critic():
    layer = torch.nn.Linear(2, 1)
    penalty = gradient_penalty(lambda x: layer(x)[:, 0], torch.rand(3, 2), torch.rand(3, 2), torch.rand(3, 1))
    (slope,) = torch.autograd.grad(penalty, layer.weight)
    norm = layer.weight.norm()
    torch.testing.assert_close(slope, (2 * (norm - 1) / norm * layer.weight).detach())


def test_the_terms_of_wgan_are_those_of_the_equation():
    torch.manual_seed(0)
    gan, labels = WGANGP(6, 3), torch.tensor([0, 1, 2, 1])
    x = torch.rand(4, 6)
    torch.manual_seed(5)
    terms = gan.discriminator_terms(x, labels)
    torch.manual_seed(5)
    made = gan.make(labels).detach()
    critic, classifier = gan.discriminator["critic"], gan.discriminator["classifier"]
    own = [critic(z)[range(4), labels] for z in (x, made)]
    torch.testing.assert_close(terms["source"], own[1].mean() - own[0].mean())
    torch.testing.assert_close(terms["class"], torch.nn.functional.cross_entropy(classifier(x), labels))
    mix = torch.rand(4, 1)
    penalty = gradient_penalty(lambda z: critic(z)[range(4), labels], x, made, mix)
    torch.testing.assert_close(terms["penalty"], PENALTY * penalty)
    torch.manual_seed(5)
    of_generator = gan.generator_terms(labels)
    torch.testing.assert_close(of_generator["source"], -own[1].mean())
    loss = torch.nn.functional.cross_entropy(classifier(made), labels)
    torch.testing.assert_close(of_generator["class"], CLASS_WEIGHT * loss)


# Training


@BOTH
def test_the_generator_has_one_update_in_so_many(kind):
    features, labels = clouds((40, 40, 40))  # two batches an epoch
    counted: dict[int, int] = {}
    gan = kind(6, 3)
    sizes = {sum(p.numel() for p in part.parameters()): name for name, part in gan.named_children()}

    def count(optimizer, *_):
        size = sum(p.numel() for group in optimizer.param_groups for p in group["params"])
        counted[sizes[size]] = counted.get(sizes[size], 0) + 1

    hook = register_optimizer_step_pre_hook(count)
    try:
        gan.fit(features, labels, epochs=10)
    finally:
        hook.remove()
    assert counted == {"discriminator": 20, "generator": 20 // kind.every}


@BOTH
def test_an_update_of_one_leaves_no_gradient_in_the_other(kind):
    features, labels = clouds((40, 40, 40))
    gan, seen = kind(6, 3), []

    def look(optimizer, *_):
        own = {id(p) for group in optimizer.param_groups for p in group["params"]}
        seen.append((frozenset(own), [p.requires_grad for p in gan.parameters() if id(p) not in own]))

    hook = register_optimizer_step_pre_hook(look)
    try:
        gan.fit(features, labels, epochs=5)
    finally:
        hook.remove()
    assert len({parameters for parameters, _ in seen}) == 2
    assert not any(moves for _, others in seen for moves in others)
    assert all(p.requires_grad for p in gan.parameters())  # when it is done, all may move again


@BOTH
def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(kind):
    features, labels = clouds()
    first, second, other = (trained(kind, features, labels, 5, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(made_by(first, labels), made_by(second, labels))
    assert not torch.equal(made_by(first, labels), made_by(other, labels))
    assert not torch.equal(made_by(first, labels), made_by(first, labels, seed=1))


def test_the_callers_random_numbers_are_left_alone():
    features, labels = clouds()
    gan = ACGAN(6, 3)
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    gan.fit(features, labels, epochs=2)
    made_by(gan, labels)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(("kind", "various"), [(ACGAN, 0.3), (WGANGP, 0.6)])
def test_what_is_generated_is_of_its_class_and_various(kind, various):
    """The mean of each class, its Fréchet distance, and no collapse: such a share of the spread at least."""
    features, labels = clouds()
    gan = trained(kind, features, labels)
    wanted = torch.arange(3).repeat_interleave(200)
    made = made_by(gan, wanted)
    assert float(gan.agrees(made, wanted).float().mean()) > 0.9
    for c in range(3):
        own, real = made[wanted == c], features[labels == c]
        assert int((MEANS - own.mean(dim=0)).norm(dim=1).argmin()) == c
        others = [frechet_distance(own, features[labels == other]) for other in range(3) if other != c]
        assert frechet_distance(own, real) < min(others) / 2
        assert float(own.std(dim=0).mean()) > various * float(real.std(dim=0).mean())


@pytest.mark.parametrize("shape", [4, (4,), (2, 3, 3)])
@BOTH
def test_features_of_any_shape(kind, shape):
    whole = (shape,) if isinstance(shape, int) else shape
    features, labels = torch.rand(12, *whole) * 50, torch.arange(12) % 3
    gan = kind(shape, 3, noise_dim=7).fit(features, labels, epochs=5)
    assert float(gan.scale) == pytest.approx(np.percentile(features.numpy(), 99.9))
    assert made_by(gan, torch.tensor([0, 2])).shape == (2, *whole)
    assert gan.agrees(features, labels).shape == (12,)
    assert made_by(gan, torch.zeros(0, dtype=torch.long)).shape == (0, *whole)


def test_features_that_are_all_zero_have_a_scale():
    assert scale_of(torch.zeros(3, 2)) == 1.0


def test_only_what_the_discriminator_agrees_with_is_kept(monkeypatch):
    features, labels = clouds()
    gan = trained(ACGAN, features, labels, 2)
    verdicts = []

    def every_other(made, wanted):
        verdicts.append(torch.arange(len(made)) % 2 == 0)
        return verdicts[-1]

    monkeypatch.setattr(gan, "agrees", every_other)
    made, of = gan.sample_agreed(labels, torch.Generator().manual_seed(0), tries=3)
    assert len(verdicts) == 3 and [len(v) for v in verdicts] == [102, 51, 25]
    assert len(made) == len(of) == 51 + 26 + 13
    first = made_by(gan, labels)
    torch.testing.assert_close(made[:51], first[::2])
    monkeypatch.setattr(gan, "agrees", lambda made, wanted: torch.zeros(len(made), dtype=torch.bool))
    for wanted, tries in ((labels, 2), (labels[:0], 1)):
        made, of = gan.sample_agreed(wanted, torch.Generator(), tries=tries)
        assert made.shape == (0, 6) and of.shape == (0,)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.rand(4, 5), [0, 1, 2, 0], r"must be \(N, 6\), not .*4, 5"),
        (torch.rand(4, 6), [0, 1, 2, 3], "from 0 to 2"),
        (torch.rand(4, 6), [0, 1, 2, -1], "from 0 to 2"),
        (torch.rand(4, 6), [0.0, 1.0, 2.0, 0.9], "whole numbers"),
        (torch.rand(4, 6), [[0], [1], [2], [0]], r"labels must be \(N,\)"),
        (torch.rand(3, 6), [0, 1, 2, 0], "as many labels"),
        (torch.full((3, 6), torch.nan), [0, 1, 2], "finite"),
        (torch.rand(1, 6), [0], "two or more"),
    ],
)
def test_features_that_do_not_fit(features, labels, message):
    with pytest.raises(InvalidInputError, match=message):
        ACGAN(6, 3).fit(features, labels, epochs=5)


@BOTH
def test_lists_and_arrays_do_as_well_as_tensors(kind):
    features, labels = clouds((8, 8, 8))
    gan = trained(kind, features, labels, 5)
    other = trained(kind, features, labels, 5)
    kind(np.int64(6), 3).load_state_dict(gan.state_dict())  # of the same shapes
    assert torch.equal(made_by(gan, labels), made_by(other, labels.tolist()))
    verdicts = [gan.agrees(x, y) for x in (features, features.double().numpy()) for y in (labels, labels.tolist())]
    assert all(torch.equal(verdict, verdicts[0]) and verdict.shape == (24,) for verdict in verdicts)
    torch.manual_seed(1)
    from_lists = kind(6, 3).fit(features.tolist(), labels.numpy(), epochs=5)
    assert torch.equal(made_by(gan, labels), made_by(from_lists, labels))


@pytest.mark.parametrize("labels", [[3], [-1], [[0]], [0.5]])
def test_classes_that_there_are_not_cannot_be_asked_for(labels):
    for ask in (ACGAN(6, 3).sample, lambda wanted: ACGAN(6, 3).agrees(torch.rand(1, 6), wanted)):
        with pytest.raises(InvalidInputError, match="from 0 to 2"):
            ask(labels)


@pytest.mark.parametrize("wrong", [{"feature_shape": 0}, {"feature_shape": ()}, {"classes": 0}, {"noise_dim": 1.5}])
def test_sizes_that_cannot_be(wrong):
    with pytest.raises(InvalidInputError, match="feature_shape, classes and noise_dim"):
        ACGAN(**{"feature_shape": 6, "classes": 3, **wrong})
