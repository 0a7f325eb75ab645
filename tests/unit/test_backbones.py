"""Every network wears the same face, starts alike from a seed, and says what it cannot take."""

import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.nn import functional

from careedu.errors import CheckpointError, InvalidInputError, UnknownNameError
from careedu.files import read_tensors, write_tensors
from careedu.nn.backbones import MODELS, Classifier, NormalizedLinear, build_model
from careedu.nn.maps import class_activation_map
from careedu.nn.spatial_mask import FixedMask, FreeMask

# Feature maps, the divisor of the image size on the grid, and the parameters without the head for three image channels:
# those of the architectures as published by torchvision, less their classifiers; of the U-Net counted by hand, the
# convolutions' 9·(3·12 + 12·12 + 12·24 + 24·24 + 24·48 + 48·48) and the normalisations' 4·(12 + 24 + 48).
FACES = {
    "small": (128, 8, None),
    "googlenet": (1024, 32, 5_599_904),
    "vgg16": (512, 16, 14_723_136),
    "resnet18": (512, 32, 11_176_512),
    "resnet50": (2048, 32, 23_508_032),
    "densenet121": (1024, 32, 6_953_856),
    "unet": (48, 4, 40_836),
}
every_model = pytest.mark.parametrize("name", MODELS)


@pytest.fixture(scope="module", params=[(name, channels) for name in MODELS for channels in (1, 3)], ids=str)
def built(request):
    name, channels = request.param
    torch.manual_seed(0)
    return name, channels, build_model(name, 5, channels).eval()


def test_all_models_are_tested():
    assert set(FACES) == set(MODELS)


def test_features_pool_and_head_have_the_face_of_the_contract(built):
    name, channels, model = built
    maps, divisor, _ = FACES[name]
    x = torch.rand(2, channels, 64, 64)
    with torch.no_grad():
        features = model.features(x)
        pooled = model.pool(features)
        logits = model(x)
    assert isinstance(model, Classifier)
    assert isinstance(model.head, nn.Linear)
    assert model.channels == maps
    assert features.shape == (2, maps, 64 // divisor, 64 // divisor)
    assert features.min() >= 0  # a ReLU comes last
    torch.testing.assert_close(pooled, features.sum(dim=(2, 3)) / features[0, 0].numel())
    torch.testing.assert_close(logits, pooled @ model.head.weight.T + model.head.bias)
    assert logits.shape == (2, 5)
    assert 1e-3 < features.std() < 1e4  # neither vanishing nor exploding before the training


def test_mean_of_the_class_map_and_bias_are_the_logit(built):
    _, channels, model = built
    x, labels = torch.rand(3, channels, 72, 64), torch.tensor([4, 0, 2])
    with torch.no_grad():
        maps = class_activation_map(model.features(x), model.head.weight[labels])
        logits = model(x)
        # Two orders of summation over 2,048 features: float32 agrees to about five digits.
    torch.testing.assert_close(
        maps.mean(dim=(1, 2)) + model.head.bias[labels], logits[range(3), labels], rtol=1e-4, atol=1e-4
    )


def test_only_the_first_convolution_and_the_head_depend_on_the_images_and_classes(built):
    name, channels, model = built
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert first.in_channels == channels
    body = sum(parameter.numel() for parameter in model.body.parameters())
    expected = FACES[name][2]
    if expected is None:
        assert 200_000 <= body <= 400_000
    else:
        assert body == expected - (3 - channels) * first.weight[:, 0].numel()


def test_the_smallest_image_works_and_a_smaller_one_is_refused(built):
    name, channels, model = built
    smallest = 16 if name in ("small", "unet") else 32
    with torch.no_grad():
        assert model(torch.rand(1, channels, smallest, smallest)).isfinite().all()
    with pytest.raises(InvalidInputError, match=f"{smallest}×{smallest}"):
        model(torch.rand(1, channels, smallest, smallest - 1))


@every_model
def test_every_parameter_learns(name):
    model = build_model(name, 5, 1).train()
    functional.cross_entropy(model(torch.rand(4, 1, 32, 32)), torch.tensor([0, 1, 2, 3])).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name


@every_model
def test_a_seed_gives_the_same_weights_bit_for_bit(name):
    def build(seed):
        torch.manual_seed(seed)
        return build_model(name, 3, 1).state_dict()

    first, again, other = build(7), build(7), build(8)
    assert all(torch.equal(first[key], again[key]) for key in first)
    changed = [key for key in first if not torch.equal(first[key], other[key])]
    assert {"head.weight", "head.bias"} < set(changed)
    assert all(value.isfinite().all() for value in first.values())
    assert not any(value.is_meta for value in first.values())


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "googlenet", "vgg16"])
def test_the_body_computes_what_torchvision_computes(name):
    from torchvision import models

    options = {"aux_logits": False, "init_weights": False} if name == "googlenet" else {}
    with torch.device("meta"):  # no time is spent on weights that ours replace
        peer = models.get_model("vgg16_bn" if name == "vgg16" else name, weights=None, **options)
    peer.to_empty(device="cpu").eval()
    model = build_model(name, 2, 3).eval()
    ours = model.body.state_dict()
    theirs = [key for key in peer.state_dict() if not key.startswith(("fc.", "classifier."))]
    peer.load_state_dict(dict(zip(theirs, ours.values(), strict=True)), strict=False)
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = model.features(x)
        if name == "vgg16":
            expected = peer.features[:-1](x)
        elif name == "densenet121":
            expected = functional.relu(peer.features(x))
        else:
            caught = []
            peer.avgpool.register_forward_pre_hook(lambda module, inputs: caught.append(inputs[0]))
            peer(x)
            (expected,) = caught
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-4)


def test_standardize_is_applied_inside_features_and_saved_with_the_weights():
    torch.manual_seed(0)
    model = build_model("small", 2, 3).eval()
    x, mean, std = torch.rand(2, 3, 32, 32), [0.2, 0.5, 0.7], [0.1, 0.2, 0.4]
    by_hand = (x - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    with torch.no_grad():
        expected = model.features(by_hand)  # until it is called, nothing is changed
        model.standardize(mean, std)
        torch.testing.assert_close(model.features(x), expected)
        copy = build_model("small", 2, 3).eval()
        copy.load_state_dict(model.state_dict())
        assert torch.equal(copy(x), model(x))


@pytest.mark.parametrize("channels", [1, 3])
def test_weights_are_folded_into_what_standardises_the_images(channels):
    torch.manual_seed(0)
    model = build_model("small", 2, channels).double()
    model.standardize([0.2, 0.5, 0.7][:channels], [0.1, 0.2, 0.4][:channels])
    x = torch.rand(2, channels, 17, 16, dtype=torch.float64)
    weights = torch.rand(17, 16, dtype=torch.float64, requires_grad=True)
    folded = model.standardized(x, weights)
    torch.testing.assert_close(folded, model.standardized(x * weights))
    assert folded.is_contiguous(memory_format=torch.channels_last)
    assert torch.autograd.gradcheck(lambda w: model.standardized(x, w), weights)


@pytest.mark.parametrize(
    ("mean", "std", "message"),
    [
        ([0.5], [0.2], "one value per image channel, 3"),
        ([0.5] * 3, [0.2, 0.2], "one value per image channel, 3"),
        ([0.5] * 3, [0.2, 0.0, 0.2], "std above 0"),
        ([0.5, float("nan"), 0.5], [0.2] * 3, "finite"),
    ],
)
def test_impossible_statistics_are_refused_and_change_nothing(mean, std, message):
    model = build_model("small", 2, 3)
    with pytest.raises(InvalidInputError, match=message):
        model.standardize(mean, std)
    assert model.mean.tolist() == [0, 0, 0]
    assert model.std.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2, 3, 32, 32), r"images \(B, 1, H, W\)"),
        (torch.rand(1, 32, 32), r"images \(B, 1, H, W\)"),
        (torch.zeros(2, 1, 32, 32, dtype=torch.uint8), "divide uint8 by 255"),
    ],
)
def test_impossible_images_are_refused(x, message):
    with pytest.raises(InvalidInputError, match=message):
        build_model("small", 2, 1)(x)


def test_unknown_models_are_named_with_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet18'"):
        build_model("resnet-18", 2)


@pytest.mark.parametrize(("classes", "channels"), [(0, 1), (2, 0)])
@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_a_network_without_classes_or_channels_is_refused(name, classes, channels):
    with pytest.raises(InvalidInputError, match="at least one class"):
        build_model(name, classes, channels)


def test_the_order_of_the_pixels_in_memory_changes_nothing():
    model = build_model("small", 2, 3).eval()
    x = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model(x), model(x.contiguous(memory_format=torch.channels_last)))
        assert model.features(x).is_contiguous(memory_format=torch.channels_last)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)


def test_the_small_network_does_not_import_torchvision():
    code = (
        "import sys; from careedu.nn.backbones import build_model; build_model('small', 2); "
        "assert 'torchvision' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_small_network_learns_a_texture():
    # Fine stripes against the same stripes turned by a right angle, under noise: the mean brightness tells nothing.
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(64) % 2
    stripes = torch.sin(torch.arange(32) * 2.1)[None, None, :].expand(64, 32, 32)
    images = torch.where(labels[:, None, None] == 0, stripes, stripes.transpose(1, 2))
    images = (0.5 + 0.1 * images + 0.1 * torch.randn(64, 32, 32, generator=generator))[:, None]
    torch.manual_seed(0)
    model = build_model("small", 2, 1)
    model.standardize([0.5], [0.13])
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for start in list(range(0, 32, 16)) * 8:
        loss = functional.cross_entropy(model(images[start : start + 16]), labels[start : start + 16])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        unseen = model(images[32:]).argmax(dim=1)
    assert (unseen == labels[32:]).float().mean() >= 0.95


# ---- the normalised head ---------------------------------------------------------------------------------------------


def test_normalized_head_gives_cosines_of_any_lengths():
    torch.manual_seed(0)
    head = NormalizedLinear(6, 4).double()
    z = torch.randn(5, 6, dtype=torch.float64)
    expected = functional.cosine_similarity(z[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head(z), expected)
    torch.testing.assert_close(head(z * 1e6), expected)
    torch.testing.assert_close(head(z * 1e-9), expected)
    with torch.no_grad():
        head.weight *= 50
    torch.testing.assert_close(head(z), expected)
    assert head.weight.shape == (4, 6)
    assert head.in_features == 6
    head.weight.data[1] = z[2]
    assert head(z)[2, 1].item() == pytest.approx(1)


def test_normalized_head_of_zero_features_is_zero_with_a_gradient_of_ordinary_size():
    head = NormalizedLinear(6, 4)
    z = torch.zeros(2, 6, requires_grad=True)
    logits = head(z)
    assert not logits.any()
    logits.sum().backward()
    assert z.grad.isfinite().all()
    assert z.grad.abs().max() < 10
    assert head.weight.grad.isfinite().all()


def test_normalized_head_starts_afresh_and_alike_from_a_seed():
    head = NormalizedLinear(6, 4)
    before = head.weight.detach().clone()
    torch.manual_seed(3)
    head.reset_parameters()
    assert not torch.equal(head.weight, before)
    torch.testing.assert_close(head.weight.norm(dim=1), torch.ones(4))
    torch.manual_seed(3)
    assert torch.equal(NormalizedLinear(6, 4).weight, head.weight)


# The slots that a method may fill


class Doubled(nn.Module):
    """Twice what comes in; records how much, and forgets on freezing."""

    def __init__(self):
        super().__init__()
        self.factor = 2.0
        self.scratch = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        return self.factor * x

    def record(self):
        return {"factor": torch.tensor(self.factor)}

    def freeze(self):
        self.scratch = None


def test_empty_slots_change_nothing_and_hold_nothing():
    model = build_model("small", 3).eval()
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(model.features(x), model.body(model.standardized(x)))
    assert not [name for name in model.state_dict() if name.startswith(("before", "after", "training_parts"))]
    assert model.record() == {} and model.freeze() is model


def test_slots_act_on_the_images_before_they_are_standardised_and_on_the_features():
    model = build_model("small", 3).eval()
    model.standardize([0.4], [0.2])
    x = torch.rand(2, 1, 32, 32)
    plain, plain_of_double = model.features(x), model.features(2 * x)
    model.before = Doubled()
    assert torch.equal(model.features(x), plain_of_double)
    model.before, model.after = nn.Identity(), nn.Sequential(Doubled(), nn.Identity())
    assert torch.equal(model.features(x), 2 * plain)
    assert torch.equal(model(x), model.head(model.pool(2 * plain)))


def test_a_mask_before_the_network_is_folded_into_what_standardises_the_images():
    model = build_model("small", 3).eval()
    model.standardize([0.4], [0.2])
    mask = FixedMask(torch.rand(32, 32))
    model.before = mask
    x = torch.rand(2, 1, 32, 32)
    assert torch.equal(model.features(x), model.body(model.standardized(x, mask.map())))


def test_what_the_slots_record_and_freeze_is_the_networks():
    model = build_model("small", 3)
    model.before, model.after = FixedMask(torch.full((32, 32), 0.5)), nn.Sequential(Doubled())
    model.training_parts["projector"] = nn.Linear(128, 8)
    recorded = model.record()
    assert set(recorded) == {"attention map", "factor"} and recorded["factor"] == 2
    assert recorded["attention map"].dtype == torch.uint16 and recorded["attention map"][0, 0] == round(65535 / 2)
    assert {"after.0.scratch", "training_parts.projector.weight"} <= set(model.state_dict())
    model.freeze()
    assert set(model.state_dict()) == {"before.values", *build_model("small", 3).state_dict()}


def test_weights_that_do_not_fit_are_an_error_with_the_remedy():
    model = build_model("small", 3)
    older = {f"body.{name}": tensor for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError, match=r"train it again with careedu\.fit \(.*Missing key"):
        model.load_state_dict(older)
    with pytest.raises(CheckpointError, match="size mismatch"):
        model.load_state_dict(build_model("small", 4).state_dict())
    model.load_state_dict(build_model("small", 3).state_dict())


def test_a_mask_with_a_forward_of_its_own_is_not_folded():
    class Filled(FreeMask):
        def forward(self, x):
            return x * self.map() + 0.5 * (1 - self.map())

    model, x = build_model("small", 3), torch.rand(2, 1, 16, 16)
    model.fill("before", Filled((16, 16)))
    expected = model.after(model.body(model.standardized(model.before(x))))
    assert torch.equal(model.features(x), expected)
    black = build_model("small", 3)
    black.body = model.body
    black.fill("before", FreeMask((16, 16)))
    assert not torch.allclose(black.features(x), expected)


def test_what_one_method_has_put_into_a_slot_another_cannot_take():
    model = build_model("small", 3)
    model.fill("after", nn.ReLU())
    with pytest.raises(InvalidInputError, match="'after' holds a ReLU already"):
        model.fill("after", nn.ReLU())


def test_a_part_that_a_network_holds_twice_is_saved(tmp_path):
    model = build_model("small", 3)
    model.training_parts["twin"] = model.body
    write_tensors(tmp_path / "weights.safetensors", model.state_dict())
    read, _ = read_tensors(tmp_path / "weights.safetensors")
    assert all(torch.equal(tensor, read[name]) for name, tensor in model.state_dict().items())
