"""Of every exercise: right answers that are written in different ways are accepted, plausible wrong ones told why.

Where an answer makes tensors of its own they are float32, as torch makes them and as the notebooks have them.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import special, stats
from sklearn.metrics import roc_auc_score
from test_every_exercise import ALL
from torch import nn
from torch.nn import functional

RIGHT, WRONG = {}, {}


def right(where):
    def keep(answer):
        RIGHT.setdefault(where, []).append(answer)
        return answer

    return keep


def wrong(where, reason):
    def keep(answer):
        WRONG.setdefault(where, []).append((answer, reason))
        return answer

    return keep


def pairs(exercise, right_ones, wrong_ones):
    RIGHT.setdefault(exercise, []).extend(right_ones)
    WRONG.setdefault(exercise, []).extend(wrong_ones)


# 01, 1: weights


@right("imbalance exercise_1")
def weights_in_float32(counts, beta):
    inverse = (1 - torch.tensor(beta)) / (1 - torch.pow(torch.tensor(beta), counts))
    return functional.normalize(inverse, p=1, dim=0) * torch.ones(len(counts)).sum()


@right("imbalance exercise_1")
def weights_in_numpy(counts, beta):
    effective = (1.0 - np.power(beta, np.asarray(counts))) / (1.0 - beta)
    return np.asarray(counts).size / effective / np.sum(1 / effective)


@right("imbalance exercise_1")
def weights_as_a_geometric_sum(counts, beta):
    effective = [sum(beta**k for k in range(int(n))) for n in counts]
    scale = len(effective) / sum(1 / e for e in effective)
    return [scale / e for e in effective]


@right("imbalance exercise_1")
def weights_by_einsum(counts, beta):
    inverse = 1 / (1 - beta ** counts.float())
    return torch.einsum("c,->c", inverse, len(inverse) / torch.einsum("c->", inverse))


pairs(
    "imbalance exercise_1",
    [],
    [
        (lambda n, beta: (1 - beta) / (1 - beta ** n.float()), "the last step is missing"),
        (lambda n, beta: (1 / n) / (1 / n.float()).sum() * len(n), "inverse-frequency"),
        (lambda n, beta: (w := 1 / (1 - beta ** n.float())) / w.max(), "the scale is not"),
        (lambda n, beta: np.ones(len(n)), "plain cross-entropy"),
        (lambda n, beta: torch.softmax(1 / (1 - beta ** n.float()), 0) * len(n), "something else"),
    ],
)

# 01, 2: the loss


@right("imbalance exercise_2")
def loss_by_a_layer(logits, target, counts, tau):
    layer = nn.Linear(logits.shape[1], logits.shape[1])
    with torch.no_grad():
        layer.weight.copy_(torch.eye(logits.shape[1]))
        layer.bias.copy_(tau * torch.log(counts / counts.sum()))
    return nn.CrossEntropyLoss()(layer(logits), target)


@right("imbalance exercise_2")
def loss_by_one_hot(logits, target, counts, tau):
    shifted = logits + tau * (counts.float().log() - counts.sum().float().log())
    one_hot = torch.eye(len(counts))[target]
    return -(one_hot * torch.log_softmax(shifted, dim=1)).sum() / len(target)


@right("imbalance exercise_2")
def loss_in_a_loop(logits, target, counts, tau):
    total = torch.zeros(1)
    for row, label in zip(logits, target, strict=True):
        powers = [torch.exp(row[c]) * float(counts[c]) ** tau for c in range(len(counts))]
        total = total - torch.log(powers[label] / sum(powers))
    return total / len(target)


@right("imbalance exercise_2")
def loss_by_einsum(logits, target, counts, tau):
    shifted = logits + tau * torch.log(counts)
    right_ones = torch.einsum("bc,bc->b", shifted, functional.one_hot(target, len(counts)).to(shifted.dtype))
    return (torch.logsumexp(shifted, 1) - right_ones).mean()


pairs(
    "imbalance exercise_2",
    [],
    [
        (lambda s, y, n, tau: functional.cross_entropy(s - tau * torch.log(n / n.sum()), y), "sign is minus"),
        (lambda s, y, n, tau: functional.cross_entropy(s, y, weight=n / n.sum()), "something else"),
        (lambda s, y, n, tau: functional.cross_entropy(s + tau * torch.log(n), y, reduction="sum"), "something else"),
        (lambda s, y, n, tau: functional.nll_loss(s + tau * torch.log(n), y), "something else"),
        (lambda s, y, n, tau: float(functional.cross_entropy(s + tau * torch.log(n), y)), "no gradient"),
    ],
)

# 01, 3: the predictive value


@right("imbalance exercise_3")
def ppv_by_odds(sensitivity, specificity, prevalence):
    odds = prevalence / (1 - prevalence) * sensitivity / (1 - specificity)
    return odds / (1 + odds)


@right("imbalance exercise_3")
def ppv_by_counting(sensitivity, specificity, prevalence):
    people = 10_000
    ill = people * prevalence
    found, alarms = ill * sensitivity, (people - ill) * (1 - specificity)
    return np.float32(found / (found + alarms))


@right("imbalance exercise_3")
def ppv_in_torch(sensitivity, specificity, prevalence):
    share = torch.tensor([prevalence, 1 - prevalence])
    positive = share * torch.tensor([sensitivity, 1 - specificity])
    return positive[0] / torch.einsum("i->", positive)


@right("imbalance exercise_3")
def ppv_in_fractions(*given):
    sensitivity, specificity, prevalence = (Fraction(str(value)) for value in given)
    return sensitivity * prevalence / (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))


pairs(
    "imbalance exercise_3",
    [],
    [
        (lambda se, sp, p: se / (se + 1 - sp), "prevalence plays no part"),
        (lambda se, sp, p: se * p, "share of true positives among all"),
        (lambda se, sp, p: se * p / (se * p + sp * (1 - p)), "specificity of them"),
        (lambda se, sp, p: 100 * se * p / (se * p + (1 - sp) * (1 - p)), "100 times"),
        (lambda se, sp, p: se * p / (1 - sp), "something else"),
    ],
)

# 01, 4: one image

pairs(
    "imbalance exercise_4",
    [
        12 - 11,
        round(23 * 0.5217) - round(23 * 0.4783),
        23 * (0.5217 - 0.4783),
        torch.tensor(0.5217 * 23).round() - torch.tensor(0.4783 * 23).round(),
        np.diff(np.rint(23 * np.array([0.4783, 0.5217]))),
        "one",
        Fraction(1),
        math.isclose(1, 1) + 0,
    ],
    [
        (52.17 - 47.83, "percentage points"),
        (0.5217 - 0.4783, "share of the class"),
        (0.5217 / 0.4783 - 1, "relative to the old recall"),
        (11, "before or after"),
        (23, "all test images"),
        (2, "is another one"),
    ],
)

# 01, 5: the choice


@right("imbalance exercise_5")
def choose_in_numpy(validation, test):
    betas = np.array(list(validation))
    best = betas[np.argmax([validation[beta] for beta in betas])]
    return np.array([best, test[best]])


@right("imbalance exercise_5")
def choose_in_torch(validation, test):
    """In float64: βs lie too close to each other to be keys in float32, whence the position."""
    place = torch.tensor(list(validation.values())).argmax()
    return torch.tensor([list(validation)[place], list(test.values())[place]], dtype=torch.float64)


@right("imbalance exercise_5")
def choose_in_a_loop(validation, test):
    best = None
    for beta, score in validation.items():
        if best is None or score > validation[best]:
            best = beta
    return [best, test[best]]


@right("imbalance exercise_5")
def choose_by_sorting(validation, test):
    (_, beta), *_ = sorted(((score, beta) for beta, score in validation.items()), reverse=True)
    return beta, torch.tensor(test[beta])


pairs(
    "imbalance exercise_5",
    [],
    [
        (lambda v, t: max(t.items(), key=lambda item: item[1]), "chosen on the test images"),
        (lambda v, t: (max(v, key=v.get), max(t.values())), "belongs to another β"),
        (lambda v, t: max(v.items(), key=lambda item: item[1]), "the one that chose it"),
        (lambda v, t: max(v, key=v.get), "Return both"),
        (lambda v, t: (max(v), t[max(v)]), "something else"),
        (lambda v, t: {max(v, key=v.get): t[max(v, key=v.get)]}, "give its values as a list"),
    ],
)

# 02, 1: the attention loss


@right("care exercise_1")
def attention_by_einsum(maps, inside, cap, outside_weight):
    ones = torch.ones(maps.shape[1:])
    box = inside.float()
    area, rest = torch.einsum("nhw,hw->n", box, ones), torch.einsum("nhw,hw->n", 1 - box, ones)
    within = torch.einsum("nhw,nhw->n", maps, box) / torch.clamp(area, min=1)
    outside = torch.einsum("nhw,nhw->n", maps, 1 - box) / torch.clamp(rest, min=1)
    return (outside_weight * outside - torch.minimum(within, torch.full_like(within, cap))) * (area > 0)


@right("care exercise_1")
def attention_by_convolution(maps, inside, cap, outside_weight):
    """The sum over an image, by a kernel of ones as large as the image."""
    kernel, box = torch.ones(1, 1, *maps.shape[1:]), inside[:, None].float()
    sums = [functional.conv2d(x, kernel).flatten() for x in (maps[:, None] * box, maps[:, None] * (1 - box), box)]
    within, outside = sums[0] / sums[2].clamp(min=1), sums[1] / (maps[0].numel() - sums[2]).clamp(min=1)
    return torch.where(sums[2] > 0, outside_weight * outside - within.clamp(max=cap), torch.zeros(len(maps)))


@right("care exercise_1")
def attention_in_numpy(maps, inside, cap, outside_weight):
    maps, inside = np.asarray(maps, dtype=np.float32), np.asarray(inside)
    losses = np.zeros(len(maps), dtype=np.float32)
    for i in np.flatnonzero(inside.any((1, 2))):
        losses[i] = outside_weight * maps[i][~inside[i]].mean() - min(maps[i][inside[i]].mean(), cap)
    return losses


@right("care exercise_1")
def attention_in_pure_python(maps, inside, cap, outside_weight):
    losses = []
    for image, box in zip(maps.tolist(), inside.tolist(), strict=True):
        within = [v for row, marks in zip(image, box, strict=True) for v, m in zip(row, marks, strict=True) if m]
        outside = [v for row, marks in zip(image, box, strict=True) for v, m in zip(row, marks, strict=True) if not m]
        losses.append(
            outside_weight * math.fsum(outside) / len(outside) - min(cap, math.fsum(within) / len(within))
            if within
            else 0
        )
    return torch.tensor(losses).tolist()


@right("care exercise_1")
def attention_as_a_list_of_tensors(maps, inside, cap, outside_weight):
    scale = nn.Parameter(torch.ones(()))  # so that what comes out has a gradient, in a list

    def one(image, box):
        return outside_weight * image[~box].mean() - image[box].mean().clamp(max=cap) if box.any() else image.sum() * 0

    return [one(image, box) * scale for image, box in zip(maps, inside, strict=True)]


pairs(
    "care exercise_1",
    [],
    [
        (lambda f, m, cap, w: w * (f * ~m).mean((1, 2)) - (f * m).mean((1, 2)).clamp(max=cap), ""),
        (lambda f, m, cap, w: attention_by_einsum(f, m, 1, w), "cap has no effect"),
        (lambda f, m, cap, w: attention_by_einsum(f, m, cap, 1), "λ is forgotten"),
        (lambda f, m, cap, w: attention_by_einsum(f, m, cap, w).sum(), "shape ()"),
        (lambda f, m, cap, w: -attention_by_convolution(f, m, cap, w), "sign"),
        (lambda f, m, cap, w: attention_by_einsum(f, ~m, cap, w), ""),
        (lambda f, m, cap, w: torch.tensor(attention_in_pure_python(f, m, cap, w)), "no gradient"),
    ],
)

# 02, 2: the shortcut, found from maps


@right("care exercise_2")
def excess_by_einsum(maps, rare):
    votes = torch.einsum("nhw,n->nhw", maps, 1 / torch.einsum("nhw->n", maps))
    sign = rare.float() / rare.sum() - (~rare).float() / (~rare).sum()
    return torch.einsum("nhw,n->hw", votes, sign)


@right("care exercise_2")
def excess_in_numpy(maps, rare):
    maps, rare = np.asarray(maps), np.asarray(rare).astype(bool)
    shares = maps / maps.sum(axis=(1, 2))[:, None, None]
    return np.average(shares, axis=0, weights=rare) - np.average(shares, axis=0, weights=1 - rare)


@right("care exercise_2")
def excess_by_normalize(maps, rare):
    """As norms of order 1, of maps that are not negative; and `rare` as a list of rows."""
    shares = functional.normalize(maps.flatten(1), p=1, dim=1).unflatten(1, maps.shape[1:])
    rows, others = rare.nonzero()[:, 0], (rare == 0).nonzero()[:, 0]
    return shares.index_select(0, rows).mean(0) - shares.index_select(0, others).mean(0)


@right("care exercise_2")
def excess_in_a_loop(maps, rare):
    found = torch.zeros(maps.shape[1:])
    for one, is_rare in zip(maps, rare, strict=True):
        share = one / one.sum()
        found += share / int(rare.sum()) if is_rare else -share / int((~rare).sum())
    return found


pairs(
    "care exercise_2",
    [],
    [
        (lambda maps, rare: maps[rare].mean(0) - maps[~rare].mean(0), "outvotes ten"),
        (lambda maps, rare: excess_by_einsum(maps, ~rare), "sign"),
        (lambda maps, rare: functional.normalize(maps.flatten(1), p=1).unflatten(1, maps.shape[1:]).mean(0), "drowns"),
        (lambda maps, rare: (m := maps / maps.amax((1, 2))[:, None, None])[rare].mean(0) - m[~rare].mean(0), "maximum"),
        (lambda maps, rare: (m := maps / maps.sum())[rare].mean(0) - m[~rare].mean(0), ""),
        (lambda maps, rare: excess_by_einsum(maps, rare).argmax(), "shape ()"),
        (lambda maps, rare: excess_by_einsum(maps, rare).sum((0, 1)), "shape ()"),
    ],
)

# 02, 3: validation images

pairs(
    "care exercise_3",
    [
        0.3 * 0.7 / 0.1**2 / (1 - 0.95),
        math.ceil(0.3 * 0.7 / 0.01 / 0.05),
        int(0.3 * (1 - 0.3) / 0.1**2 / (1 - 0.95)),
        21 * Fraction(100, 5),
        torch.tensor(0.21) / torch.tensor(0.1).square() / torch.tensor(0.05),
        next(n for n in range(20, 10_000, 20) if math.sqrt(0.21 / (0.05 * n)) < 0.1 + 1e-9),
        "420",
    ],
    [
        (21, "without the plaster"),
        (0.21 / 0.1 / 0.05, "square"),
        (math.ceil(21 / 0.95), "tell nothing of the clinic"),
        (0.965 * 0.035 / 0.1**2, "it is the wrong number"),
        (math.ceil(math.log(0.05) / math.log(0.95)), "says 0 or 1"),
        (stats.norm.ppf(0.975) ** 2 * 0.21 / 0.1**2 / 0.05, "1.96²"),
        (500, "is another one"),
    ],
)

# 02, 4: how many images


def smallest(condition):
    n = 0
    while not condition(n):
        n += 1
    return n


pairs(
    "care exercise_4",
    [
        23 * math.ceil(1 + math.log2(1 / 0.05)),
        23 * smallest(lambda k: k > 0 and stats.binomtest(k, k).pvalue < 0.05),
        torch.tensor(23) * torch.arange(1, 99)[2 * 0.5 ** torch.arange(1, 99) < 0.05].min(),
        np.array([23.0 * (np.arange(1, 20)[2 * 0.5 ** np.arange(1, 20) < 0.05][0])]),
        "138",
        sum([23] * 6),
    ],
    [
        (6, "So many images must be won"),
        (23 * smallest(lambda k: 0.5**k < 0.05), "0625"),
        (23, "what the paper has"),
        (0.05, "That is a p-value"),
        (137, "is another one"),
    ],
)

# 02, 5 and 03, 6: controls

pairs(
    "care exercise_5",
    [
        {"place": "random boxes", "loss": "without attention", "use": "lesion transplant"}
        | {"classes": "boxes of all classes"},
        ["random boxes", "without attention", "lesion transplant", "boxes of all classes"],
        np.array(["Random Boxes", "no attention", "Lesion transplant", "boxes of all classes"]),
        {"PLACE": "CARE, random boxes", "loss": "CARE without attention", " use": "lesion  transplant"}
        | {"classes": "boxes of all classes"},
        ["shifted boxes", "CARE, α = 0", "lesion transplant", "boxes of all classes"],
        ("Boxes on the mark", "no attention", "Transplant", "boxes of all classes"),
    ],
    [
        (["without attention", "random boxes", "lesion transplant", "boxes of all classes"], "2 of 4"),
        (["random boxes"] * 4, "for all"),
        (["random boxes", "without attention", "drop marked", "boxes of all classes"], "somebody has to know"),
        (["random boxes", "without attention", "lesion transplant", "boxes on the mark"], "around the plaster"),
        (["lesion transplant", "without attention", "shifted boxes", "boxes of all classes"], "spoil the place alone"),
        ("random boxes", "Give a dict"),
    ],
)
pairs(
    "global_attention exercise_6",
    [
        ["mean image", "free mask", "flat map", "classifier retrained"],
        {"lesion": "negative mean image", "classifier": "free", "places": "flat", "remedy": "retrained classifier"},
        ("Mean image", "FREE MASK", "global attention, flat map", "classifier retraining"),
    ],
    [
        (["mean image", "flat map", "free mask", "classifier retrained"], "2 of 4"),
        (["mean image", "free mask", "permuted pixels", "classifier retrained"], "learned anew"),
        (["mean image", "free mask", "flat map", "no mask"], "Keep the balanced batches"),
        ({"lesion": "mean image"}, "The keys of the dict"),
    ],
)

# 02, 6: the attention term that can be learned from


@right("care exercise_6")
def term_by_matrix_products(features, weight, inside):
    maps = torch.relu(torch.bmm(weight[:, None], features.flatten(2))[:, 0])
    within = (maps * inside.flatten(1).to(maps.dtype)).sum(1)
    return (1 - within / maps.sum(1)).mean()


@right("care exercise_6")
def term_in_a_loop(features, weight, inside):
    total = torch.zeros(())
    for image, row, box in zip(features, weight, inside, strict=True):
        one = (image * row[:, None, None]).sum(0).clamp(min=0)
        total = total + one[~box].sum() / one.sum()
    return total / len(features)


@right("care exercise_6")
def term_of_a_stretched_map(features, weight, inside):
    """The faulty line kept that divides by the maximum: it drops out of a share."""
    maps = torch.einsum("bkhw,bk->bhw", features, weight).relu()
    maps = maps / maps.amax((1, 2), keepdim=True)
    return torch.where(inside, 0, maps).sum((1, 2)).div(maps.sum((1, 2))).mean()


@right("care exercise_6")
def term_as_a_distribution(features, weight, inside):
    evidence = functional.conv2d(features.flatten(0, 1)[None], weight[..., None, None], groups=len(features))[0]
    places = functional.normalize(evidence.relu().flatten(1), p=1, dim=1)
    return (places * (1 - inside.flatten(1).float())).sum(1).mean()


pairs(
    "care exercise_6",
    [],
    [
        (lambda a, w, m: term_in_a_loop(a.detach(), w, m), "no gradient"),
        (lambda a, w, m: torch.tensor(float(term_in_a_loop(a, w, m)), requires_grad=True), "no gradient"),
        (lambda a, w, m: term_of_a_stretched_map(a, w, m).detach().numpy(), "no gradient"),
        (lambda a, w, m: float(term_in_a_loop(a, w, m)), "no gradient"),
        (lambda a, w, m: 1 - term_by_matrix_products(a, w, m), "drive the map out"),
        (lambda a, w, m: -term_by_matrix_products(a, w, m), "sign"),
        (lambda a, w, m: (torch.einsum("bkhw,bk->bhw", a, w).relu() * ~m).mean(), "shrink"),
        (lambda a, w, m: term_in_a_loop(a, w.abs(), m), "something else"),
    ],
)

# 02, 7: maps before and after


@right("care exercise_7")
def similarity_by_scipy(before, after):
    return np.mean([stats.spearmanr(np.ravel(a), np.ravel(b)).statistic for a, b in zip(before, after, strict=True)])


@right("care exercise_7")
def similarity_by_differences(before, after):
    """The formula of the schoolbook, 1 − 6 Σ d²/(n (n² − 1))."""
    d = before.flatten(1).argsort(1).argsort(1) - after.flatten(1).argsort(1).argsort(1)
    n = d.shape[1]
    return (1 - 6 * d.square().sum(1) / (n * (n**2 - 1))).mean()


@right("care exercise_7")
def similarity_by_corrcoef(before, after):
    found = []
    for pair in zip(before, after, strict=True):
        ranks = torch.stack([torch.unique(one, return_inverse=True)[1].flatten() for one in pair])
        found.append(torch.corrcoef(ranks.float())[0, 1])
    return torch.stack(found).mean()


@right("care exercise_7")
def similarity_by_rankdata(before, after):
    a, b = (stats.zscore(stats.rankdata(np.asarray(m).reshape(len(m), -1), axis=1), axis=1) for m in (before, after))
    return (a * b).mean()


pairs(
    "care exercise_7",
    [],
    [
        (lambda a, b: stats.pearsonr(np.ravel(a), np.ravel(b)).statistic, "something else"),
        (lambda a, b: stats.spearmanr(np.ravel(a), np.ravel(b)).statistic, "ranked together"),
        (lambda a, b: similarity_by_scipy(a.mean(0)[None], b.mean(0)[None]), "mean maps"),
        (lambda a, b: functional.cosine_similarity(a.flatten(1), b.flatten(1)).mean(), "something else"),
        (lambda a, b: similarity_by_scipy(a.flatten(1).T, b.flatten(1).T), "ranked over the images"),
        (lambda a, b: 100 * similarity_by_differences(a, b), "100 times"),
        (lambda a, b: -similarity_by_differences(a, b), "sign"),
    ],
)

# 03, 1: how many images make it a free mask

pairs(
    "global_attention exercise_1",
    [
        24**2,
        torch.zeros(24, 24).numel(),
        np.zeros((24, 24)).size,
        sum(1 for _ in range(24) for _ in range(24)),
        "576",
        torch.ones(24) @ torch.ones(24) * 24,
    ],
    [
        (24, "sides"),
        (64 * 64, "map of 64 × 64"),
        (575, "bias b may move"),
        (577, "fewer are too"),
        (24 * 24 / 2, "as many weights"),
    ],
)

# 03, 2: sparse and smooth


@right("global_attention exercise_2")
def regulariser_by_convolution(values, sparsity, variation):
    down = functional.conv2d(values[None, None], torch.tensor([[[[-1.0], [1.0]]]])).abs().mean()
    across = functional.conv2d(values[None, None], torch.tensor([[[[-1.0, 1.0]]]])).abs().mean()
    return sparsity * functional.avg_pool2d(values[None, None], values.shape) + variation * (down + across)


@right("global_attention exercise_2")
def regulariser_by_slices(values, sparsity, variation):
    down, across = values[1:] - values[:-1], values[:, 1:] - values[:, :-1]
    return (
        variation * (down.relu() + (-down).relu()).mean() + variation * across.abs().mean() + sparsity * values.mean()
    )


@right("global_attention exercise_2")
def regulariser_in_numpy(values, sparsity, variation):
    values = np.asarray(values)
    return sparsity * values.mean() + variation * sum(np.abs(np.diff(values, axis=axis)).mean() for axis in (0, 1))


@right("global_attention exercise_2")
def regulariser_in_loops(values, sparsity, variation):
    rows = values.tolist()
    down = [abs(b - a) for up, low in pairwise(rows) for a, b in zip(up, low, strict=True)]
    across = [abs(b - a) for row in rows for a, b in pairwise(row)]
    flat = [value for row in rows for value in row]
    return sparsity * sum(flat) / len(flat) + variation * (sum(down) / len(down) + sum(across) / len(across))


@right("global_attention exercise_2")
def regulariser_by_matrices(values, sparsity, variation):
    height, width = values.shape
    steps = [torch.eye(n)[1:] - torch.eye(n)[:-1] for n in (height, width)]
    return sparsity * values.mean() + variation * (
        (steps[0] @ values).abs().mean() + torch.einsum("hw,dw->hd", values, steps[1]).abs().mean()
    )


pairs(
    "global_attention exercise_2",
    [],
    [
        (lambda m, s, v: s * m.mean() + v * (m.diff(dim=0).abs().sum() + m.diff(dim=1).abs().sum()), "summed"),
        (lambda m, s, v: s * m.mean() + v * (m.diff(dim=0) ** 2).mean() + v * (m.diff(dim=1) ** 2).mean(), "squared"),
        (lambda m, s, v: s * m.mean() + v * m.diff().abs().mean(), "Only the differences across"),
        (lambda m, s, v: regulariser_by_matrices(m, v, s), "changed places"),
        (lambda m, s, v: s * m.sum() + v * (m.diff(dim=0).abs().mean() + m.diff(dim=1).abs().mean()), "something else"),
        (lambda m, s, v: regulariser_by_slices(m, s, v).detach(), "no gradient"),
    ],
)

# 03, 3: the scale trap

pairs(
    "global_attention exercise_3",
    [
        4096 / 1000,
        sum(0.001 for _ in range(4096)),
        torch.full((4096,), 0.001).sum(),
        np.ones(4096, dtype=np.float32) @ np.full(4096, 0.001, dtype=np.float32),
        4.1,
        "4.096",
    ],
    [
        (0.001, "with the division by N"),
        (4096, "learning rate is missing"),
        (0.064, "64 images"),
        (6.096, "where the logit arrives"),
        (2.048, "middling grey"),
        (5.0, "is another one"),
    ],
)

# 03, 4: why black is information


@right("global_attention exercise_4")
def light_of_each_image_first(images, values, behind):
    seen = torch.stack([values * image + (1 - values) * behind for image in images])
    return functional.l1_loss(seen.mean(0), images.mean(0))


@right("global_attention exercise_4")
def light_by_what_is_added(images, values, behind):
    return torch.einsum("hw,nhw->hw", 1 - values, behind - images).abs().sum() / images.numel()


@right("global_attention exercise_4")
def light_by_interpolation(images, values, behind):
    mean = torch.zeros(images.shape[1:])
    for image in images:
        mean = mean + image / len(images)
    return (torch.lerp(behind, mean.to(behind.dtype), values) - mean).abs().mean()


@right("global_attention exercise_4")
def light_in_numpy(images, values, behind):
    mean = np.average(np.asarray(images), axis=0)
    return np.abs(np.asarray(values) * mean + (1 - np.asarray(values)) * np.asarray(behind) - mean).mean()


def light_seen(images, values, behind):
    return values * images.mean(0) + (1 - values) * behind


pairs(
    "global_attention exercise_4",
    [],
    [
        (lambda x, m, b: ((1 - m) * x.mean(0)).mean(), "always black"),
        (lambda x, m, b: (m * (x.mean(0) - b).abs()).mean(), "changed places"),
        (lambda x, m, b: functional.l1_loss(m * x.mean(0) + b, x.mean(0)), "open places too"),
        (lambda x, m, b: ((1 - m) * (b - x.mean(0))).mean().abs(), "cancel"),
        (lambda x, m, b: functional.mse_loss(light_seen(x, m, b), x.mean(0)), "squared"),
        (lambda x, m, b: ((1 - m) * (b - x).abs()).mean(), "image by image"),
        (lambda x, m, b: light_of_each_image_first(x, m, b) * m.numel(), "yours is 24 times"),
        (lambda x, m, b: light_seen(x, m, b).mean(), "something else"),
    ],
)


# 03, 5: what a map and its negative score


@right("global_attention exercise_5")
def scores_by_ranks(values, zone):
    values, zone = np.asarray(values).ravel(), np.asarray(zone).ravel()
    ranks, inside, outside = stats.rankdata(values), zone.sum(), (~zone).sum()
    score = (ranks[zone].sum() - inside * (inside + 1) / 2) / (inside * outside)
    return score, 1 - score


@right("global_attention exercise_5")
def scores_by_sklearn(values, zone):
    return [roc_auc_score(zone.flatten(), sign * values.flatten()) for sign in (1, -1)]


@right("global_attention exercise_5")
def scores_by_steps(values, zone):
    difference = values[zone][:, None] - values[~zone]
    wins = torch.heaviside(difference, torch.tensor(0.5)).mean()
    return torch.stack([wins, torch.ones(()) - wins])


@right("global_attention exercise_5")
def scores_in_loops(values, zone):
    values, zone = values.flatten().tolist(), zone.flatten().tolist()
    inside = [v for v, z in zip(values, zone, strict=True) if z]
    outside = [v for v, z in zip(values, zone, strict=True) if not z]
    wins = sum((a > b) + 0.5 * (a == b) for a in inside for b in outside) / len(inside) / len(outside)
    return wins, 1 - wins


@right("global_attention exercise_5")
def scores_by_mann_whitney(values, zone):
    values, zone = np.asarray(values), np.asarray(zone)
    won = stats.mannwhitneyu(values[zone], values[~zone]).statistic / zone.sum() / (~zone).sum()
    return np.array([won, 1 - won])


pairs(
    "global_attention exercise_5",
    [],
    [
        (lambda m, z: (s := (m[z][:, None] >= m[~z]).float().mean(), 1 - s), ""),
        (lambda m, z: [(s * m[z][:, None] > s * m[~z]).float().mean() for s in (1, -1)], "Ties count nothing"),
        (lambda m, z: (scores_in_loops(m, z)[0],) * 2, "cannot be the same"),
        (lambda m, z: scores_in_loops(m, z)[::-1], "swapped"),
        (lambda m, z: scores_in_loops(m, z)[0], "shape (2,)"),
        (lambda m, z: (m[z].mean() / m.mean(), m[~z].mean() / m.mean()), "something else"),
        (lambda m, z: special.expit(scores_in_loops(m, z)), "something else"),
    ],
)

# 04, 1: NT-Xent


@right("deep_pneumonia exercise_1")
def contrast_by_cosine_similarity(z1, z2, temperature):
    views = torch.cat([z1, z2])
    count = len(views)
    logits = functional.cosine_similarity(views[:, None], views[None], dim=2) / temperature
    keep = ~torch.eye(count, dtype=torch.bool)
    logits = logits[keep].view(count, count - 1)
    target = (torch.arange(count) + count // 2) % count
    target = target - (target > torch.arange(count)).long()
    return functional.nll_loss(logits.log_softmax(1), target)


@right("deep_pneumonia exercise_1")
def contrast_by_sums_of_powers(z1, z2, temperature):
    z1, z2 = functional.normalize(z1, dim=1), functional.normalize(z2, dim=1)
    positive = torch.exp((z1 * z2).sum(1) / temperature).repeat(2)
    powers = torch.exp(torch.cat([z1, z2]) @ torch.cat([z1, z2]).T / temperature)
    return -torch.log(positive / (powers.sum(1) - powers.diagonal())).mean()


@right("deep_pneumonia exercise_1")
def contrast_by_einsum_with_a_large_minus(z1, z2, temperature):
    z = torch.stack([z1, z2], 1)
    z = z / z.square().sum(-1, keepdim=True).sqrt()
    logits = torch.einsum("iad,jbd->iajb", z, z).flatten(2).flatten(0, 1) / temperature
    logits = logits - 1e6 * torch.eye(len(logits))
    return functional.cross_entropy(logits, torch.arange(len(logits)) ^ 1)


pairs(
    "deep_pneumonia exercise_1",
    [],
    [
        (lambda a, b, t: contrast_by_cosine_similarity(a, b, 1), "temperature is left out"),
        (lambda a, b, t: contrast_by_sums_of_powers(a, b, t).item(), "no gradient"),
        (lambda a, b, t: 2 * len(a) * contrast_by_sums_of_powers(a, b, t), "summed"),
        (lambda a, b, t: functional.cross_entropy(a @ b.T / t, torch.arange(len(a))), "something else"),
        (
            lambda a, b, t: functional.cross_entropy(
                functional.normalize(a) @ functional.normalize(b).T / t, torch.arange(len(a))
            ),
            "not only the B − 1",
        ),
    ],
)

# 04, 2: which augmentation destroys the class

pairs(
    "deep_pneumonia exercise_2",
    [
        ["black", "strong blur", "crop to a twentieth"],
        "Crop, blur, black",
        {"strong blur", "crop", "replacing by black"},
        [False, False, False, False, True, True, True],
        np.array([0, 0, 0, 0, 1, 1, 1]),
    ],
    [
        (["black", "strong blur"], "in how many views"),
        (["black", "strong blur", "crop", "rotation"], "no up and down"),
        ({"gain": True, "black": True}, "differences within the lesion"),
        ("hue", "is none of these"),
    ],
)

# 04, 3: temperature


@right("deep_pneumonia exercise_3")
def push_in_numpy(positive, negatives, temperature):
    return special.softmax(np.asarray(negatives) / temperature)


@right("deep_pneumonia exercise_3")
def push_by_differences(positive, negatives, temperature):
    """Each share from how much farther away it lies than each other one."""
    return 1 / torch.exp((negatives[None] - negatives[:, None]) / temperature).sum(1)


@right("deep_pneumonia exercise_3")
def push_by_the_gradient(positive, negatives, temperature):
    cosines = negatives.clone().requires_grad_()
    loss = torch.log(torch.exp(torch.tensor(positive / temperature)) + torch.exp(cosines / temperature).sum())
    slope = torch.autograd.grad(loss, cosines)[0]
    return functional.normalize(slope, p=1, dim=0)


pairs(
    "deep_pneumonia exercise_3",
    [],
    [
        (lambda p, n, t: special.softmax(np.asarray(n) * t), "wrong way round"),
        (lambda p, n, t: special.softmax(np.asarray(n)), "no effect"),
        (lambda p, n, t: special.softmax(np.append(n, p) / t)[:-1], "positive is in the sum"),
        (lambda p, n, t: special.softmax(np.append(n, p) / t), "shape (6,)"),
        (lambda p, n, t: float(push_in_numpy(p, n, t).max()), "nearest alone"),
    ],
)

# 04, 4: why the loss falls and nothing is learned

pairs(
    "deep_pneumonia exercise_4",
    [
        {"a": "shortcut", "b": "healthy", "c": "collapse", "d": "identical views"},
        ["shortcut", "healthy", "collapse", "identical"],
        {"A": "a shortcut", "B": "OK", "C": "collapsed", "D": "same view"},
    ],
    [
        (["healthy", "shortcut", "collapse", "identical views"], "the neighbours are strangers"),
        (["identical views", "healthy", "collapse", "shortcut"], "without any difference"),
        (["shortcut", "learning rate too low", "collapse", "identical views"], "do not go by that"),
        ({"a": "shortcut"}, "4 histories"),
        (["shortcut"] * 4, "for all"),
    ],
)

# 04, 5: read the ladder

pairs(
    "deep_pneumonia exercise_5",
    [{"+ attention": 0.16}, {"attention": Fraction(4, 25)}, [None, "0.16", None, None], [("+ attention", 0.158)]],
    [
        ({"+ attention": 0.22}, "the steps before have a part"),
        ({"+ attention": 0.16, "+ regulation": 0.03}, "adjusted p has to be"),
        ([0.06, 0.16, 0.03, None], "every second step"),
        ({"+ attention": 0.16, "+ pretraining": "no effect"}, "more than these runs show"),
    ],
)


# 05, 1: the relevance


@right("distractor exercise_1")
def relevance_in_numpy(features, weight):
    r = np.maximum(np.asarray(features) * np.asarray(weight)[..., None, None], 0)
    most = r.reshape(len(r), -1).max(1)
    return r / np.where(most > 0, most, 1)[:, None, None, None]


@right("distractor exercise_1")
def relevance_by_autograd(features, weight):
    a = features.clone().requires_grad_()
    score = (a.mean(dim=(2, 3)) * weight).sum()
    r = functional.relu(a * torch.autograd.grad(score, a)[0]).detach()
    most = r.flatten(1).max(dim=1).values
    return torch.where(most[:, None, None, None] > 0, r / most[:, None, None, None], 0.0)


@right("distractor exercise_1")
def relevance_image_by_image(features, weight):
    images = []
    for a, w in zip(features, weight, strict=True):
        r = torch.stack([(n * k).clamp(min=0) for n, k in zip(a, w, strict=True)])
        images.append(r / r.max() if r.max() > 0 else r)
    return torch.stack(images)


pairs(
    "distractor exercise_1",
    [],
    [
        (lambda a, w: relevance_in_numpy(np.abs(a), np.abs(w)), "absolute value"),
        (lambda a, w: relevance_image_by_image(a.reshape(1, -1, *a.shape[2:]), w.reshape(1, -1))[0], "shape"),
        (lambda a, w: (a * w[:, :, None, None]).clamp(min=0), "not divided"),
        (lambda a, w: (r := (a * w[:, :, None, None]).clamp(min=0)) / r.max(), "whole batch"),
        (lambda a, w: (r := (a * w[:, :, None, None]).clamp(min=0)) / r.amax((1, 2, 3), keepdim=True), "0/0 is NaN"),
    ],
)

# 05, 2: the gradient that must not run


@right("distractor exercise_2")
def slope_by_hand(features, weight):
    return relevance_image_by_image(features, weight) / (features.shape[2] * features.shape[3])


@right("distractor exercise_2")
def slope_with_no_grad(features, weight):
    a = features.detach().clone().requires_grad_(True)
    with torch.no_grad():
        r = relevance_image_by_image(a, weight)
    (a * r).mean((2, 3)).sum().backward()
    return a.grad


@right("distractor exercise_2")
def slope_by_a_jacobian_product(features, weight):
    r = relevance_image_by_image(features, weight)
    ones = torch.ones(features.shape[:2], dtype=features.dtype)
    return torch.autograd.functional.vjp(lambda a: (a * r).mean(dim=(2, 3)), features, ones)[1]


def slope_through_everything(features, weight):
    a = features.clone().requires_grad_()
    r = torch.relu(a * weight[:, :, None, None])
    r = r / r.amax(dim=(1, 2, 3), keepdim=True).clamp(min=1e-12)
    return torch.autograd.grad((a * r).mean(dim=(2, 3)).sum(), a)[0]


pairs(
    "distractor exercise_2",
    [],
    [
        (slope_through_everything, "runs through r as well"),
        (lambda a, w: slope_through_everything(a, w) - slope_by_hand(a, w), "that must not run"),
        (lambda a, w: torch.ones_like(a) / (a.shape[2] * a.shape[3]), "the image's own pooled features"),
        (lambda a, w: 2 * slope_by_hand(a, w), "2 times"),
    ],
)

# 05, 3: cosine and margin


@right("distractor exercise_3")
def apart_by_unit_vectors(z, z_distractor, margin):
    cosine = (functional.normalize(z) * functional.normalize(z_distractor)).sum(1)
    return functional.relu(margin - 1 + cosine).mean()


@right("distractor exercise_3")
def apart_by_torch_s_own_loss(z, z_distractor, margin):
    return functional.cosine_embedding_loss(z, z_distractor, -torch.ones(len(z)), 1 - margin)


@right("distractor exercise_3")
def apart_in_a_loop(z, z_distractor, margin):
    far = (1 - (a @ b) / (a.norm() * b.norm()) for a, b in zip(z, z_distractor, strict=True))
    return sum((margin - d).clamp(min=0) for d in far) / len(z)


pairs(
    "distractor exercise_3",
    [],
    [
        (lambda z, d, m: apart_in_a_loop(z, d, m).item(), "no gradient"),
        (lambda z, d, m: functional.relu(functional.cosine_similarity(z, d) - m).mean(), "compared with the cosine"),
        (lambda z, d, m: functional.relu(m - (z - d).norm(dim=1)).mean(), "Euclidean"),
        (lambda z, d, m: len(z) * apart_in_a_loop(z, d, m), "something else"),
    ],
)

# 05, 4: which control refutes what

pairs(
    "distractor exercise_4",
    [
        {
            "class": "relevance of the true class",
            "neurons": "random relevance",
            "loss": "weight 0",
            "noise": "feature dropout",
        },
        ["true class", "random", "λ = 0", "dropout"],
        {"CLASS": "True class", "Neurons": "random neurons", "loss": "logit adjustment", "noise": "dropout"},
    ],
    [
        (["random relevance", "true class", "weight 0", "dropout"], "Keep all but the class"),
        (["true class", "random", "weight 0", "OHEM"], "pushes nothing apart"),
        (["true class", "random", "larger margin", "dropout"], "none of the arms"),
    ],
)

# 05, 5: read a confusion matrix that moved

pairs(
    "distractor exercise_5",
    [0.0433, Fraction(13, 300), "0.043", np.float32(0.13 / 3)],
    [
        (-0.0294, "change of accuracy"),
        (0.25, "rare class's recall alone"),
        (0.13, "sum of the three"),
        (4.33, "percentage points"),
    ],
)


# 06, 1: the ACGAN losses


@right("feature_generation exercise_1")
def generator_by_binary_cross_entropy(source, classes, wanted):
    real = functional.binary_cross_entropy_with_logits(source, torch.ones_like(source))
    return real + functional.cross_entropy(classes, wanted)


@right("feature_generation exercise_1")
def generator_by_log_softmax(source, classes, wanted):
    right_class = classes.log_softmax(1).gather(1, wanted[:, None]).mean()
    return functional.softplus(-source).mean() - right_class


@right("feature_generation exercise_1")
def generator_in_a_loop(source, classes, wanted):
    each = [torch.log1p(torch.exp(-s)) + c.logsumexp(0) - c[y] for s, c, y in zip(source, classes, wanted, strict=True)]
    return sum(each) / len(each)


pairs(
    "feature_generation exercise_1",
    [],
    [
        (lambda s, c, y: generator_in_a_loop(-s, c, y), "the discriminator's side"),
        (lambda s, c, y: functional.softplus(-s).mean() - c.softmax(1).gather(1, y[:, None]).mean(), "*probability*"),
        (lambda s, c, y: functional.softplus(-s).mean(), "One of the two terms"),
        (lambda s, c, y: (1 - s.sigmoid()).log().mean() + functional.cross_entropy(c, y), "nearly no slope"),
        (lambda s, c, y: generator_in_a_loop(s, c, y).item(), "no gradient"),
    ],
)

# 06, 2: bias shift, or gain

pairs(
    "feature_generation exercise_2",
    [0.4765, "0.4765", Fraction(953, 2000), [0.4765]],
    [
        (0.5, "That is before"),
        (0.953, "their mean"),
        (-0.0235, "by how much it changed"),
        (0.569, "one of the recalls"),
        (47.65, "per cent"),
    ],
)

# 06, 3: memorised, or new


@right("feature_generation exercise_3")
def memorised_in_numpy(made, real):
    made, real = np.asarray(made, dtype=float), np.asarray(real, dtype=float)
    apart = np.linalg.norm(real[:, None] - real[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.mean(np.linalg.norm(made[:, None] - real[None], axis=2).min(1) <= np.median(apart.min(1)) / 2)


@right("feature_generation exercise_3")
def memorised_by_sorting(made, real):
    limit = torch.cdist(real, real).sort(dim=1).values[:, 1].median() / 2
    return (torch.cdist(made, real).amin(1) <= limit).double().mean()


@right("feature_generation exercise_3")
def memorised_in_a_loop(made, real):
    nearest = [min(float((a - b).norm()) for j, b in enumerate(real) if j != i) for i, a in enumerate(real)]
    limit = sorted(nearest)[len(nearest) // 2] / 2
    copies = [min(float((m - b).norm()) for b in real) <= limit for m in made]
    return sum(copies) / len(copies)


pairs(
    "feature_generation exercise_3",
    [],
    [
        (lambda m, r: 1 - memorised_in_a_loop(m, r), "new: 1 less"),
        (lambda m, r: (torch.cdist(m, r).amin(1) <= 0).double().mean(), "its own nearest neighbour"),
        (lambda m, r: memorised_by_sorting(2 * m, 4 * r), "something else"),
        (lambda m, r: memorised_by_sorting(m, r).expand(3), "shape"),
    ],
)

# 06, 4: why patients must not be split

_LEAKING = [
    "slices at random",
    "every fifth slice",
    "slices at random within each class",
    "the last slice of each patient",
    "slices at random, next ones left out",
]

pairs(
    "feature_generation exercise_4",
    [
        _LEAKING,
        tuple(_LEAKING[::-1]),
        {name: name in _LEAKING for name in ("patients at random", "patients of one hospital", *_LEAKING)},
        ["random", "every fifth slice", "stratified", "The last slice of each patient", _LEAKING[-1]],
    ],
    [
        (["patients at random", "patients of one hospital"], "do *not* leak"),
        (_LEAKING[:4], "One is missing. A gap of one slice"),
        ([*_LEAKING, "patients"], "that the training has never seen"),
        (["every second slice"], "none of these"),
    ],
)

# 06, 5: Gaussian per class by hand


@right("feature_generation exercise_5")
def gaussian_in_numpy(features, labels, c, noise):
    own = np.asarray(features)[np.asarray(labels) == c]
    return own.mean(0) + own.std(0) * np.asarray(noise)


@right("feature_generation exercise_5")
def gaussian_by_a_cholesky_of_the_diagonal(features, labels, c, noise):
    own = features[labels == c]
    return own.mean(0) + noise @ torch.linalg.cholesky(torch.diag(own.var(0)))


@right("feature_generation exercise_5")
def gaussian_row_by_row(features, labels, c, noise):
    own = torch.stack([row for row, y in zip(features, labels, strict=True) if int(y) == c])
    return torch.stack([torch.addcmul(own.mean(0), own.std(0), e) for e in noise])


pairs(
    "feature_generation exercise_5",
    [],
    [
        (lambda f, y, c, e: f.mean(0) + f.std(0) * e, "belongs to none"),
        (lambda f, y, c, e: f[y == c].mean(0) + f[y == c].var(0) * e, "variance"),
        (lambda f, y, c, e: f[y == c].std(0) * e, "deviations, not yet features"),
        (lambda f, y, c, e: f[y == c].mean(0) + torch.zeros_like(e), "something else"),
    ],
)


# That they are told so


def named(answer):
    # A set is told in another order by each process, and tests of two processes must have one name.
    told = sorted(answer) if isinstance(answer, set) else answer
    return getattr(answer, "__name__", str(told))[:40]


def test_every_exercise_has_its_answers():
    assert set(RIGHT) == set(WRONG) == set(ALL)
    assert all(len(answers) >= 3 for answers in (*RIGHT.values(), *WRONG.values()))


# 07, 1: what to do, by what is at hand

pairs(
    "everything exercise_1",
    [
        {
            "rare": "balanced sampling",
            "plaster": "lesion transplant",
            "labels": "pretraining",
            "chest": "mask attention",
        },
        ["logit adjustment", "transplant", "SimCLR", "attention"],
        {
            "Rare": "Logit adjusted",
            "plaster": "Lesion Transplant",
            "labels": "simclr",
            "chest": "mask-guided attention",
        },
    ],
    [
        (["pretraining", "transplant", "SimCLR", "attention"], "Labels are all there is"),
        (["balanced sampling", "attention", "SimCLR", "attention"], "part the lesion"),
        (["balanced sampling", "transplant", "ACGAN", "attention"], "nobody knows the class"),
        (["balanced sampling", "transplant", "SimCLR", "wait"], "none of the remedies"),
    ],
)

# 07, 2: a table of twenty methods

pairs(
    "everything exercise_2",
    [1 - 0.95**20, 0.64, "0.6415", 1 - math.exp(20 * math.log(0.95)), stats.binom.sf(0, 20, 0.05)],
    [
        (1.0, "how many are expected"),
        (0.95**20, "chance that *none*"),
        (0.05, "for one method"),
        (0.05 / 20, "level for each method"),
        (64.15, "in percent"),
    ],
)

# 07, 3: the effective number of patients

pairs(
    "everything exercise_3",
    [6.25, Fraction(1600, 256), "6.25", 1 / sum((m / 40) ** 2 for m in [12, *7 * [4]])],
    [
        (40, "number of images"),
        (8, "number of patients"),
        (0.16, "other way round"),
        (256, "squared and added"),
        (2.5, "root of it"),
    ],
)


@pytest.mark.parametrize(
    ("where", "answer"), [pytest.param(w, a, id=f"{w}-{named(a)}") for w, answers in RIGHT.items() for a in answers]
)
def test_a_right_answer_is_accepted(where, answer):
    reply = ALL[where].check(answer)
    assert reply, reply


@pytest.mark.parametrize(
    ("where", "answer", "reason"),
    [pytest.param(w, a, r, id=f"{w}-{i}") for w, answers in WRONG.items() for i, (a, r) in enumerate(answers)],
)
def test_a_wrong_answer_is_told_why(where, answer, reason):
    reply = ALL[where].check(answer)
    assert reply.kind == "wrong" and reason in reply.text, reply
    assert len(reply.text) > 30


# Float32, and axes of size 1


def test_it_is_called_in_float32_first():
    seen = []
    ALL["care exercise_1"].check(lambda maps, *rest: seen.append(maps.dtype))
    assert seen[0] == torch.float32 and torch.float64 in seen


def in_precision(dtype):
    def answer(maps, inside, cap, outside_weight):
        if maps.dtype != dtype:
            raise RuntimeError(f"expected {dtype}")
        return attention_by_einsum(maps.float(), inside, cap, outside_weight)

    return answer


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_what_is_right_in_one_precision_is_right(dtype):
    reply = ALL["care exercise_1"].check(in_precision(dtype))
    assert reply, reply


def test_of_two_errors_the_one_in_float32_is_told():
    def answer(maps, *rest):
        raise RuntimeError(f"{maps.dtype}")

    assert "float32" in ALL["care exercise_1"].check(answer).text


@pytest.mark.parametrize(
    ("where", "axis", "shapes"),
    [
        ("care exercise_1", -1, ["(4, 1)", "(4,)", "`.squeeze(1)`"]),
        ("care exercise_1", 0, ["(1, 4)", "(4,)", "`.squeeze(0)`"]),
        ("care exercise_2", 1, ["(5, 1, 6)", "(5, 6)", "`.squeeze(1)`"]),
        ("global_attention exercise_5", -1, ["(2, 1)", "(2,)", "`.squeeze(1)`"]),
        ("imbalance exercise_1", 0, ["(1, 3)", "(3,)", "`.squeeze(0)`"]),
    ],
)
def test_right_numbers_with_an_axis_too_many_are_nearly_right(where, axis, shapes):
    exercise = ALL[where]
    solution = RIGHT[where][0]
    reply = exercise.check(lambda *given: torch.as_tensor(solution(*given)).unsqueeze(axis))
    assert reply.kind == exercise.state == "nearly" and not reply and not exercise.solved
    assert "numbers are right" in reply.text and all(shape in reply.text for shape in shapes), reply
    assert repr(reply).startswith("≈ Nearly.") and "Nearly." in reply._repr_html_()
    two = exercise.check(lambda *given: torch.as_tensor(solution(*given))[None, ..., None])
    assert two.kind == "nearly" and ".reshape" in two.text
    wrong_ones = exercise.check(lambda *given: 3 * torch.as_tensor(solution(*given)).unsqueeze(axis))
    assert wrong_ones.kind == "wrong" and "shape" in wrong_ones.text


def test_an_axis_too_many_is_no_fault_of_a_single_number():
    for answer in (lambda *given: torch.as_tensor(regulariser_by_slices(*given))[None, None],):
        assert ALL["global_attention exercise_2"].check(answer)
