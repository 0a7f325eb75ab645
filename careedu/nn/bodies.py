"""What turns images into feature maps: the small residual network, and the convolutional part of torchvision's."""

from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions beside a shortcut: ReLU(F(x) + shortcut(x)) (He et al., CVPR 2016, section 3).

    Parameters
    ----------
    before, after : int
        Channels that come in and go out.
    stride : int
        2 halves the grid.
    """

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.residual = double_convolution(before, after, stride)[:-1]
        self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, before, h, w) to (B, after, h/stride, w/stride)."""
        return functional.relu(self.residual(x) + self.shortcut(x), inplace=True)


def double_convolution(before: int, after: int, stride: int = 1) -> nn.Sequential:
    """Two 3 × 3 convolutions, each with batch normalisation and ReLU; the first has the stride."""
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )


def small_body(image_channels: int) -> nn.Module:
    """Three halvings of the grid, three widths.

    Our choice, among twelve stems and widths by images per second on two cores and accuracy on band-passed textures.
    Most of the time goes into the finest grid, so the first layer halves it at once; its 5×5 window still sees a
    texture of a few pixels before the halving could lose it.
    """
    body = nn.Sequential(
        nn.Conv2d(image_channels, 32, 5, stride=2, padding=2, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(inplace=True),
        ResidualBlock(32, 64, stride=2),
        ResidualBlock(64, 128, stride=2),
    )
    initialize(body)
    return body


def torchvision_body(name: str, image_channels: int) -> tuple[nn.Module, int]:
    """The convolutional part of a torchvision network, ending in a ReLU, and its number of feature maps."""
    from torchvision import models  # takes a second to import, which the small network does not need

    # torchvision is asked for the architecture only. On the "meta" device its layers have shapes but no memory, so
    # VGG's 124 million classifier weights, which are thrown away, cost nothing; then the kept layers are filled.
    with torch.device("meta"):
        body, maps = _architecture(models, name, image_channels)
    body.to_empty(device="cpu")
    initialize(body)
    return body, maps


def _architecture(models: ModuleType, name: str, image_channels: int) -> tuple[nn.Module, int]:
    if name == "vgg16":
        # Without the last max-pooling, as Zhou et al. (CVPR 2016) do for class maps: the grid is twice as fine.
        body, maps = models.vgg16_bn().features[:-1], 512
    elif name == "densenet121":
        net = models.densenet121()
        # torchvision applies this ReLU in its forward.
        body, maps = nn.Sequential(*net.features, nn.ReLU(inplace=True)), net.classifier.in_features
    else:
        # Without avgpool and fc, and the dropout in between that GoogLeNet has.
        own = {"aux_logits": False, "transform_input": False, "init_weights": False} if name == "googlenet" else {}
        net = getattr(models, name)(**own)
        body, maps = nn.Sequential(*list(net.children())[: -3 if own else -2]), net.fc.in_features
    path, first = next((path, part) for path, part in body.named_modules() if isinstance(part, nn.Conv2d))
    shape = first.out_channels, first.kernel_size, first.stride, first.padding
    body.set_submodule(path, nn.Conv2d(image_channels, *shape, bias=first.bias is not None))
    return body, maps


def initialize(body: nn.Module) -> None:
    """Start convolutions as He et al. (ICCV 2015, section 2.2) do, and normalisations afresh."""
    for module in body.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()  # the running statistics too, which to_empty left undefined
