"""The exercises of notebook 06: `exercise_1` and so on, in the order in which they stand here; `exercises` are all.

Each function is the solution that readers are shown, and what their answers are held to; tests hold it to the package.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch.nn.functional import cross_entropy, nll_loss, softplus

from careedu.course.exercises.choices import ChoiceExercise
from careedu.course.exercises.exercise import NumberExercise, near, numbered
from careedu.course.exercises.function import FunctionExercise

# The ACGAN losses


def generator_loss(source: torch.Tensor, classes: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """It wants to be taken for real, −log σ(s), and for its class: cross-entropy on the logits."""
    taken_for_real = -torch.nn.functional.logsigmoid(source).mean()
    return taken_for_real + torch.nn.functional.cross_entropy(classes, wanted)


def _verdicts() -> Iterator[tuple]:
    """What a discriminator says of generated features: unsure, and sure that they are none, as it soon is."""
    random = np.random.default_rng(2209)
    for mean, n, c in ((0.0, 5, 3), (-9.0, 4, 2)):
        yield random.normal(mean, 1, n), random.normal(0, 2, (n, c)), np.arange(n) % c


generator_exercise = FunctionExercise(
    generator_loss,
    cases=tuple(_verdicts()),
    learns="what the discriminator says",
    in_torch=True,
    mistakes={
        "That is the discriminator's side: −log(1 − σ(s)) is small where a feature is taken for generated. The "
        "generator wants to be taken for real.": lambda s, c, y: softplus(s).mean() + cross_entropy(c, y),
        "log(1 − σ(s)) has nearly no slope where the discriminator is sure, and that is when the generator needs one: "
        "minimise −log σ(s) instead.": lambda s, c, y: torch.log(1 - s.sigmoid()).mean() + cross_entropy(c, y),
        "The class term is the mean of minus the *probability*. Its slope vanishes where the class is missed by far: "
        "take the log of it, which cross-entropy on the logits does.": (
            lambda s, c, y: softplus(-s).mean() + nll_loss(c.softmax(1), y)
        ),
        "The class logits go through a softmax twice: cross-entropy wants them as they are.": (
            lambda s, c, y: softplus(-s).mean() + cross_entropy(c.softmax(1), y)
        ),
        "The sign of the class term is turned round: the generator would do its best to be taken for another class.": (
            lambda s, c, y: softplus(-s).mean() - cross_entropy(c, y)
        ),
        "One of the two terms is missing: taken for real, *and* for the class that was asked for.": (
            lambda s, c, y: softplus(-s).mean(),
            lambda s, c, y: cross_entropy(c, y),
        ),
    },
    expected="one number, the mean of −log σ(s) plus the mean cross-entropy of the class logits",
    praise="Where the discriminator is sure (s near −9) the slope is about −1 an image; log(1 − σ(s)) has hardly any.",
    thought="The class term alone would be content with one feature that is typical of its class, over and over. "
    "What in the loss speaks against that?",
    hints=[
        "The generator is paid for two things: what are they? Both are told as logits.",
        "`torch.nn.functional.logsigmoid(source)` is log σ(s), also where σ(s) is nearly 0.",
        "`-logsigmoid(source).mean() + cross_entropy(classes, wanted)`, both from torch.nn.functional.",
    ],
)

# Bias shift, or gain

balanced_exercise = NumberExercise(
    "balanced_accuracy",
    right=0.4765,
    tolerance=0.0006,
    mistakes={
        "That is before: .95 and .05. How is it with the generated features, .569 and .384?": near(0.5, tolerance=1e-3),
        "That is the sum of the two recalls; balanced accuracy is their mean.": near(0.953, 1.0, tolerance=2e-3),
        "That is one of the recalls. A gain in one class counts only with what the other pays for it.": (
            near(0.569, 0.384, 0.95, 0.05, tolerance=1e-3)
        ),
        "That is by how much it changed. Which balanced accuracy is left?": near(0.0235, -0.0235),
        "That is what the rare class gained, or the common one lost. Both count, each by half.": (
            near(0.334, 0.381, -0.381)
        ),
        "Right, in per cent. Give it as a share.": near(47.65, tolerance=2e-3),
    },
    expected="the mean of the two recalls with generated features",
    praise=".4765, and it was .5 before: a coin does as well. What moved is the line between the classes, no more.",
    thought="A network that says HGG to 95 of 100 images of either class has recalls of .95 and .05. To which recalls "
    "could you move it by another threshold alone, and are .569 and .384 better than these?",
    hints=[
        "Balanced accuracy is a mean. Of what?",
        "Recall of HGG is .569 with generated features, of LGG .384.",
        "(.569 + .384) / 2: and before it was (.95 + .05) / 2.",
    ],
    code="balanced_accuracy = (0.569 + 0.384) / 2",
    why="The mean of .569 and .384; before it was the mean of .95 and .05.",
)

# Memorised, or new?


def memorised(made: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """A copy lies nearer to a real feature than half of what lies between a real one and the next, as a rule."""
    apart = torch.cdist(real, real).fill_diagonal_(torch.inf)
    limit = apart.min(dim=1).values.median() / 2
    return (torch.cdist(made, real).min(dim=1).values <= limit).float().mean()


def _features() -> Iterator[tuple]:
    """Real features, and generated ones of which some lie close to a real one; the one cloud wider than the other."""
    random = np.random.default_rng(14097)
    for wide, n, copies in ((1.0, 9, 4), (3.0, 11, 9)):
        real = random.normal(0, wide, (n, 3))
        near_real = real[:copies] + random.normal(0, 0.02 * wide, (copies, 3))
        between = random.normal(0, 0.9 * wide, (12 - copies, 3))
        yield np.concatenate([near_real, between]), real


def _distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cdist(a, b).min(dim=1).values


def _next(real: torch.Tensor) -> torch.Tensor:
    return torch.cdist(real, real).fill_diagonal_(torch.inf).min(dim=1).values


memorised_exercise = FunctionExercise(
    memorised,
    cases=tuple(_features()),
    mistakes={
        "Every real feature is its own nearest neighbour, at a distance of 0, and so the limit is 0: leave out the "
        "diagonal.": lambda m, r: (
            (_distances(m, r) <= torch.cdist(r, r).min(dim=1).values.median() / 2).double().mean()
        ),
        "That is the whole distance between a real one and the next, not half of it.": (
            lambda m, r: (_distances(m, r) <= _next(r).median()).double().mean()
        ),
        "That is of all distances between real ones. How far is it to the *next*?": (
            lambda m, r: (_distances(m, r) <= torch.cdist(r, r)[~torch.eye(len(r)).bool()].median() / 2).double().mean()
        ),
        "That asks of each real feature whether something was made near it. Asked is which of the *generated* ones "
        "are copies.": lambda m, r: (_distances(r, m) <= _next(r).median() / 2).double().mean(),
        "These are the ones that are new: 1 less the share that is asked for.": (
            lambda m, r: (_distances(m, r) > _next(r).median() / 2).double().mean()
        ),
        "Right so far: one truth value for each generated feature. Asked is their share.": (
            lambda m, r: (_distances(m, r) <= _next(r).median() / 2).double()
        ),
    },
    expected="one number, the share of generated features within half the median distance from a real one to the next",
    praise="With copies alone a generator has a Fréchet distance near 0, and has made nothing.",
    thought="Repeat every real feature ten times: what are the Fréchet distance, the class agreement and this share? "
    "Which of the three would you have believed alone?",
    hints=[
        "Which distance is short? One that is short beside the distances among the real ones themselves.",
        "`torch.cdist(real, real)` has zeros on its diagonal; `.fill_diagonal_(torch.inf)` leaves these out.",
        "`.min(dim=1).values.median() / 2` is the limit; compare `torch.cdist(made, real).min(dim=1).values` with it.",
    ],
)

# Why patients must not be split

_PATIENTS, _SLICES = 24, 5


def _ways() -> dict[str, np.ndarray]:
    """Which of 120 slices, five of each of 24 patients one after the other, are for the test."""
    random, slices = np.random.default_rng(6), np.arange(_PATIENTS * _SLICES)
    patient, number = slices // _SLICES, slices % _SLICES
    by_class = np.concatenate([random.permutation(slices[patient % 2 == c])[:12] for c in (0, 1)])
    return {
        "slices at random": np.isin(slices, random.permutation(slices)[:24]),
        "patients at random": np.isin(patient, random.permutation(_PATIENTS)[:5]),
        "every fifth slice": number == 2,
        "slices at random within each class": np.isin(slices, by_class),
        "the last slice of each patient": number == _SLICES - 1,
        "patients of one hospital": patient >= 19,
        "slices at random, next ones left out": np.isin(slices, random.permutation(slices[number % 2 == 0])[:24]),
    }


def strangers() -> dict[str, float]:
    """Of each way of splitting the share of test slices whose patient has no slice elsewhere."""
    patient = np.arange(_PATIENTS * _SLICES) // _SLICES
    return {name: float(np.mean(~np.isin(patient[test], patient[~test]))) for name, test in _ways().items()}


leaking_exercise = ChoiceExercise(
    "leaking",
    options={
        "slices at random | random | random slices": "Chance sends a patient's slices to both sides.",
        "patients at random | patients": "All slices of a patient go one way: a test patient is a stranger.",
        "every fifth slice": "The slices before and after it, of the same head, are in the training.",
        "slices at random within each class | stratified": "That keeps classes in proportion, and patients not "
        "together.",
        "the last slice of each patient": "Every test patient was trained on, four times.",
        "patients of one hospital | hospital": "Nobody of that hospital was trained on, and so no test patient.",
        "slices at random, next ones left out": "A gap of one slice parts neighbours, and not a patient's tumour.",
    },
    measure=strangers,
    bound=1.0,
    measured="{share} of its test slices are of patients that the training has never seen",
    other_way="These are the ones that do *not* leak. Asked is which do.",
    praise="Only whole patients keep apart what belongs together. Stratified is not grouped.",
    thought="The segmentation network was pretrained on the training images. If a patient is on both sides, which of "
    "the three steps (segmentation, generator, classifier) has seen the test?",
    hints=[
        "Ask of each way: can two slices of one patient end up on different sides?",
        "What a head looks like is in all of its slices; a gap between two of them does not change that.",
        "Only two of the seven move whole patients.",
    ],
    code="""leaking = [
    "slices at random",
    "every fifth slice",
    "slices at random within each class",
    "the last slice of each patient",
    "slices at random, next ones left out",
]""",
    why="Whatever draws slices, and not patients, puts patients on both sides.",
)

# Gaussian per class by hand


def gaussian(features: torch.Tensor, labels: torch.Tensor, c: int, noise: torch.Tensor) -> torch.Tensor:
    """Two numbers a dimension: the class's mean, and its standard deviation times what the noise says."""
    own = features[labels == c]
    return own.mean(dim=0) + own.std(dim=0) * noise


def _classes() -> Iterator[tuple]:
    """Three classes that lie apart and are not equally wide, and standard normal noise."""
    random = np.random.default_rng(61)
    for c, n in ((2, 4), (1, 3)):
        labels = np.repeat([0, 1, 2], [500, 400, 450])
        wide = np.array([1.0, 0.5, 2.0])[labels][:, None] * [1.0, 2.0, 0.3]
        yield 5 * labels[:, None] + random.normal(size=(1350, 3)) * wide, labels, c, random.normal(size=(n, 3))


gaussian_exercise = FunctionExercise(
    gaussian,
    cases=tuple(_classes()),
    mistakes={
        "Mean and spread are those of all classes: then a new feature belongs to none.": (
            lambda f, y, c, e: f.mean(dim=0) + f.std(dim=0) * e
        ),
        "The spread is that of all classes, whose means lie far apart: new features of a class end up in others.": (
            lambda f, y, c, e: f[y == c].mean(dim=0) + f.std(dim=0) * e
        ),
        "The noise is multiplied by the variance. Its standard deviation has to become that of the class.": (
            lambda f, y, c, e: f[y == c].mean(dim=0) + f[y == c].var(dim=0) * e
        ),
        "One spread for all dimensions: each has its own.": (
            lambda f, y, c, e: f[y == c].mean(dim=0) + f[y == c].std() * e
        ),
        "Mean and spread are taken along the wrong axis: over the dimensions of each feature, or over all numbers.": (
            lambda f, y, c, e: f[y == c].mean() + f[y == c].std(dim=0) * e
        ),
        "The mean is missing: these are deviations, not yet features.": (lambda f, y, c, e: f[y == c].std(dim=0) * e),
    },
    tolerance=2e-3,  # so many features that it is one whether the spread is divided by n or by n − 1
    expected="a feature for each row of noise: the class's mean plus its standard deviation times the noise",
    praise="Two numbers a dimension, and no training. It is the rival that a generator has to beat.",
    thought="What do these features not have that real ones have? Think of two dimensions that always rise together.",
    hints=[
        "Choose the rows of the class first: `features[labels == c]`.",
        "Mean and standard deviation of each dimension: over the rows, `dim=0`.",
        "`own.mean(dim=0) + own.std(dim=0) * noise`",
    ],
)

exercises = numbered(globals())
