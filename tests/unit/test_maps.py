"""Maps against explicit loops, against Grad-CAM of an independent package, and at the edges where NaN would appear."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from careedu.errors import InvalidInputError
from careedu.nn.backbones import NormalizedLinear, build_model
from careedu.nn.maps import class_activation_map, grad_cam, normalize_map, resize_map

DOUBLE = torch.float64


def random(seed, *shape):
    return torch.randn(*shape, dtype=DOUBLE, generator=torch.Generator().manual_seed(seed))


shapes = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
seeds = st.integers(0, 2**31)


def reference_map(features, weight):
    images, channels, height, width = features.shape
    result = np.zeros((images, height, width))
    for b in range(images):
        for k in range(channels):
            result[b] += weight[b, k] * features[b, k]
    return result


@settings(deadline=None)
@given(shapes, seeds)
def test_class_activation_map_equals_its_loop(shape, seed):
    features, weight = random(seed, *shape), random(seed + 1, *shape[:2])
    ours = class_activation_map(features, weight)
    np.testing.assert_allclose(ours.numpy(), reference_map(features.numpy(), weight.numpy()), atol=1e-12)
    channels_last = features.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(class_activation_map(channels_last, weight), ours)


@settings(deadline=None)
@given(shapes, seeds)
def test_mean_of_the_map_and_bias_are_the_logit(shape, seed):
    torch.manual_seed(seed)
    head = nn.Linear(shape[1], 3, dtype=DOUBLE)
    features, labels = random(seed, *shape), torch.randint(3, (shape[0],))
    logits = head(features.mean(dim=(2, 3))).gather(1, labels[:, None])[:, 0]
    maps = class_activation_map(features, head.weight[labels])
    torch.testing.assert_close(maps.mean(dim=(1, 2)) + head.bias[labels], logits)


@settings(deadline=None)
@given(shapes, seeds)
def test_grad_cam_of_pooling_and_linear_head_is_the_closed_form(shape, seed):
    torch.manual_seed(seed)
    head = nn.Linear(shape[1], 3, dtype=DOUBLE)
    features, labels = random(seed, *shape).requires_grad_(), torch.randint(3, (shape[0],))
    score = head(features.mean(dim=(2, 3))).gather(1, labels[:, None]).sum()
    positions = shape[2] * shape[3]
    torch.testing.assert_close(
        grad_cam(features, score), class_activation_map(features, head.weight[labels]) / positions
    )


def test_grad_cam_equals_its_loop_for_a_head_that_is_not_linear():
    torch.manual_seed(0)
    head = nn.Sequential(nn.Flatten(), nn.Linear(3 * 4 * 5, 7, dtype=DOUBLE), nn.Tanh(), nn.Linear(7, 2, dtype=DOUBLE))
    features = random(1, 2, 3, 4, 5).requires_grad_()
    ours = grad_cam(features, head(features)[:, 1].sum())
    for b in range(2):
        alone = features[b : b + 1].detach().requires_grad_()
        head(alone)[0, 1].backward()
        weight = alone.grad.numpy().mean(axis=(2, 3))
        expected = reference_map(alone.detach().numpy(), weight)[0]
        np.testing.assert_allclose(ours[b].detach().numpy(), expected, atol=1e-12)


def test_grad_cam_touches_no_grad_keeps_the_graph_and_weights_without_gradient():
    torch.manual_seed(0)
    model = build_model("small", 3, 1).double()
    features = model.features(torch.rand(2, 1, 32, 32, dtype=DOUBLE))
    logits = model.head(torch.tanh(model.pool(features)))
    maps = grad_cam(features, logits[:, 0].sum())
    assert all(parameter.grad is None for parameter in model.parameters())
    # The map moves the features only; had its weights a gradient, it would reach the head through them.
    moved = torch.autograd.grad(
        maps.square().sum(), [features, model.head.weight], retain_graph=True, allow_unused=True
    )
    assert moved[0].abs().sum() > 0
    assert moved[1] is None
    (logits.sum() + maps.sum()).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


def test_gradient_of_the_map_with_respect_to_features_is_the_weight():
    head = nn.Linear(3, 2, dtype=DOUBLE)
    features = random(0, 2, 3, 4, 4).requires_grad_()
    maps = grad_cam(features, torch.tanh(head(features.mean(dim=(2, 3))))[:, 0].sum())
    (moved,) = torch.autograd.grad(maps.sum(), features)
    assert torch.allclose(moved, moved[:, :, :1, :1].expand_as(moved))
    torch.testing.assert_close(class_activation_map(features, moved[:, :, 0, 0]), maps)


@pytest.mark.parametrize("name", ["small", "resnet18"])
@pytest.mark.parametrize("head", ["linear", "normalized"])
def test_maps_agree_with_pytorch_grad_cam_up_to_relu_and_scaling(name, head):
    torch.manual_seed(2)
    model = build_model(name, 3, 3)
    if head == "normalized":
        model.head = NormalizedLinear(model.channels, 3)
    model.eval()
    images, labels = torch.rand(3, 3, 96, 96), torch.tensor([0, 2, 1])
    features = model.features(images)
    scores = model.head(model.pool(features)).gather(1, labels[:, None])
    if head == "linear":
        ours = class_activation_map(features, model.head.weight[labels]).detach()
    else:
        ours = grad_cam(features, scores.sum()).detach()
    ours = ours.clamp(min=0)
    ours = resize_map(normalize_map(ours), 96)
    with GradCAM(model=model, target_layers=[model.body]) as peer:
        theirs = peer(images, [ClassifierOutputTarget(label) for label in labels.tolist()])
    # Theirs is scaled again after the resize, which takes the maximum to 1.
    ours = normalize_map(ours)
    assert ours.max() == 1  # not all evidence was negative, so there is something to compare
    np.testing.assert_allclose(ours.numpy(), theirs, atol=2e-3)


@settings(deadline=None)
@given(st.integers(1, 4), st.integers(1, 5), st.integers(2, 5), seeds, st.floats(1e-3, 1e3), st.floats(-10, 10))
def test_normalize_map_equals_its_loop_and_ignores_scale_and_offset(images, height, width, seed, scale, offset):
    maps = random(seed, images, height, width)
    ours = normalize_map(maps)
    for one, result in zip(maps.numpy(), ours.numpy(), strict=True):
        np.testing.assert_allclose(result, (one - one.min()) / (one.max() - one.min()), atol=1e-12)
    assert torch.all((ours.amin((1, 2)) == 0) & (ours.amax((1, 2)) == 1))
    torch.testing.assert_close(normalize_map(maps * scale + offset), ours, atol=1e-7, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, DOUBLE])
@pytest.mark.parametrize("value", [0.0, 0.1, -3e4, 1e-30])
def test_flat_maps_give_zeros_beside_others_and_gradients_stay_finite(dtype, value):
    maps = torch.full((3, 4, 4), value, dtype=dtype)
    maps[1] = torch.arange(16).reshape(4, 4)
    maps.requires_grad_()
    result = normalize_map(maps)
    assert not result[0].any()
    assert not result[2].any()
    assert result[1, 3, 3] == 1
    result.square().sum().backward()
    assert maps.grad.isfinite().all()
    assert maps.grad[1].any()


def test_rounding_is_not_blown_up_and_a_subnormal_range_has_a_finite_gradient():
    noisy = torch.full((1, 2, 2), 5.0)
    noisy[0, 0, 0] = torch.nextafter(torch.tensor(5.0), torch.tensor(6.0))
    assert not normalize_map(noisy).any()
    tiny = torch.zeros(1, 2, 2)
    tiny[0, 0, 0] = 1e-44
    tiny.requires_grad_()
    normalize_map(tiny).sum().backward()
    assert tiny.grad.isfinite().all()


def test_small_maps_are_not_taken_for_flat():
    maps = torch.tensor([[[1e-12, 3e-12], [2e-12, 1e-12]]])
    torch.testing.assert_close(normalize_map(maps), torch.tensor([[[0.0, 1.0], [0.5, 0.0]]]))


def test_half_precision_maps_wider_than_its_range():
    maps = torch.tensor([[[-6e4, 6e4], [0.0, 0.0]]], dtype=torch.float16)
    torch.testing.assert_close(normalize_map(maps), torch.tensor([[[0.0, 1.0], [0.5, 0.5]]]))


def test_gradients_of_the_maps_are_those_of_the_values():
    assert torch.autograd.gradcheck(normalize_map, random(0, 2, 3, 3).requires_grad_())
    assert torch.autograd.gradcheck(lambda maps: resize_map(maps, (5, 4)), random(1, 2, 3, 3).requires_grad_())
    pair = (random(2, 2, 3, 2, 2).requires_grad_(), random(3, 2, 3).requires_grad_())
    assert torch.autograd.gradcheck(class_activation_map, pair)


def test_resize_map_meets_the_corners_of_the_grid_cells():
    resized = resize_map(torch.tensor([[[0.0, 1.0]]], dtype=DOUBLE), (1, 8))
    # Centres of the two cells lie at pixels 1.5 and 5.5 of 8; outside them the value stays.
    expected = [min(max((pixel - 1.5) / 4, 0), 1) for pixel in range(8)]
    assert resized[0, 0].tolist() == pytest.approx(expected)
    assert resize_map(torch.zeros(3, 4, 4), 10).shape == (3, 10, 10)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: class_activation_map(torch.zeros(2, 3, 4, 4), torch.zeros(3)), r"weight must be \(B, K\)"),
        (lambda: class_activation_map(torch.zeros(2, 3, 4, 4), torch.zeros(1, 3)), r"weight must be \(B, K\)"),
        (lambda: class_activation_map(torch.zeros(2, 3, 4), torch.zeros(2, 3)), "features must be float"),
        (lambda: class_activation_map(torch.zeros(2, 3, 4, 4).long(), torch.zeros(2, 3)), "features must be float"),
        (lambda: normalize_map(torch.zeros(4, 4)), "maps must be float"),
        (lambda: normalize_map(torch.zeros(1, 4, 4).long()), "maps must be float"),
        (lambda: normalize_map(torch.zeros(1, 0, 4)), "at least one position"),
        (lambda: resize_map(torch.zeros(4, 4), 8), "maps must be float"),
        (lambda: resize_map(torch.zeros(1, 4, 4), 0), "at least 1 pixel"),
    ],
)
def test_impossible_maps_are_refused(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def test_grad_cam_says_what_is_missing():
    features = torch.rand(2, 3, 4, 4, requires_grad=True)
    with pytest.raises(InvalidInputError, match="one number"):
        grad_cam(features, features.sum(dim=(1, 2, 3)))
    with pytest.raises(InvalidInputError, match="require gradient"):
        grad_cam(features.detach(), features.sum())
    with torch.no_grad():
        score = features.sum()
    with pytest.raises(InvalidInputError, match="require gradient"):
        grad_cam(features, score)
    with pytest.raises(InvalidInputError, match="does not depend"):
        grad_cam(features, torch.ones(1, requires_grad=True).sum())
