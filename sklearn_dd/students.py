"""Student networks.

Each takes the shape of one sample and the number of classes, and returns logits. A network of your
own needs no more than that: a constructor that may name ``sample_shape`` and ``n_classes``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .initializers import xavier_normal

__all__ = ["MLP", "AlexCifarNet", "AlexNet", "ConvNet", "LeNet"]


class MLP(nn.Sequential):
    """A multilayer perceptron.

    Parameters
    ----------
    sample_shape : tuple of int
        Shape of one sample; it is flattened.
    n_classes : int
        Number of classes.
    width : int, default=128
        Units in each hidden layer.
    depth : int, default=1
        Number of hidden layers.
    activation : callable, default=nn.ReLU
        Builds the activation that follows each hidden layer.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import MLP
    >>> MLP((1, 8, 8), 10, width=32)(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        n_classes: int,
        width: int = 128,
        depth: int = 1,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        layers: list[nn.Module] = [nn.Flatten()]
        n_in = math.prod(sample_shape)
        for _ in range(depth):
            layers += [nn.Linear(n_in, width), activation()]
            n_in = width
        super().__init__(*layers, nn.Linear(n_in, n_classes))


class LeNet(nn.Module):
    """LeNet-5 as in Dataset Distillation: two convolutions and three linear layers.

    Its weights start Xavier-normal and its biases at 0, as they do there.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width); 28 × 28 images are padded by 2 to 32 × 32.
    n_classes : int
        Number of classes.

    References
    ----------
    LeCun, Bottou, Bengio and Haffner (1998), Gradient-based learning applied to document
    recognition. Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import LeNet
    >>> LeNet((1, 28, 28), 10)(torch.zeros(5, 1, 28, 28)).shape
    torch.Size([5, 10])
    """

    def __init__(self, sample_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        channels, height, width = _image_shape(sample_shape, "LeNet", at_least=16)
        padding = 2 if (height, width) == (28, 28) else 0
        self.features = nn.Sequential(
            nn.Conv2d(channels, 6, 5, padding=padding),
            nn.MaxPool2d(2),
            nn.ReLU(),  # the same as before pooling, and a quarter of the work
            nn.Conv2d(6, 16, 5),
            nn.MaxPool2d(2),
            nn.ReLU(),
        )
        rows, columns = (((side + 2 * padding - 4) // 2 - 4) // 2 for side in (height, width))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * rows * columns, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, n_classes),
        )
        xavier_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) of images (batch, channels, height, width)."""
        return self.classifier(self.features(x))


class ConvNet(nn.Sequential):
    """Blocks of convolution, instance norm, ReLU and average pooling, then a linear layer.

    The network on which distillation methods are compared has ``width=128, depth=3``.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width); each block halves height and width.
    n_classes : int
        Number of classes.
    width : int, default=32
        Channels of each block.
    depth : int or None, default=None
        Number of blocks; ``None`` takes three, or fewer where the last one would see less than
        4 × 4 pixels.

    References
    ----------
    Gidaris and Komodakis (2018), Dynamic few-shot visual learning without forgetting. Zhao, Mopuri
    and Bilen (2020), Dataset condensation with gradient matching, arXiv:2006.05929.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import ConvNet
    >>> ConvNet((3, 32, 32), 10)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    """

    def __init__(
        self,
        sample_shape: tuple[int, ...],
        n_classes: int,
        width: int = 32,
        depth: int | None = None,
    ) -> None:
        channels, height, n_columns = _image_shape(sample_shape, "ConvNet", at_least=2)
        side = min(height, n_columns)
        if depth is None:
            # The last block keeps at least 4 × 4 pixels of the image, 2 × 2 after its pooling.
            depth = max(1, min(3, side.bit_length() - 2))
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [
                nn.Conv2d(channels, width, 3, padding=1),
                nn.GroupNorm(width, width),
                nn.ReLU(),
                nn.AvgPool2d(2),
            ]
            channels, height, n_columns = width, height // 2, n_columns // 2
        super().__init__(*layers, nn.Flatten(), nn.Linear(width * height * n_columns, n_classes))


class AlexCifarNet(nn.Module):
    """The network of Dataset Distillation for CIFAR-10: two convolutions, three linear layers.

    Its weights start Xavier-normal and its biases at 0, as they do there.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width).
    n_classes : int
        Number of classes.

    References
    ----------
    Krizhevsky (2012), cuda-convnet. Wang, Zhu, Torralba and Efros (2018), Dataset Distillation,
    arXiv:1811.10959.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import AlexCifarNet
    >>> AlexCifarNet((3, 32, 32), 10)(torch.zeros(5, 3, 32, 32)).shape
    torch.Size([5, 10])
    """

    def __init__(self, sample_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        channels, height, width = _image_shape(sample_shape, "AlexCifarNet", at_least=4)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 5, padding=2),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.ReLU(),  # the same as before pooling, and a quarter of the work
            _ResponseNorm(),
            nn.Conv2d(64, 64, 5, padding=2),
            nn.ReLU(),
            _ResponseNorm(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
        rows, columns = (-(-side // 4) for side in (height, width))
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(64 * rows * columns, 384),
            nn.ReLU(),
            nn.Linear(384, 192),
            nn.ReLU(),
            nn.Linear(192, n_classes),
        )
        xavier_normal(self)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) of images (batch, channels, height, width)."""
        if x.device.type == "cpu":  # pooling then takes many channels at a time
            x = x.contiguous(memory_format=torch.channels_last)
        return self.classifier(self.features(x))


class _ResponseNorm(nn.Module):
    """Local response norm over channels, as sums of slices: faster than torch's 3-D pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.LocalResponseNorm(4, alpha=1e-3 / 9, beta=0.75, k=1)``."""
        squares = F.pad(x.square(), [0, 0, 0, 0, 2, 1])
        first, *others = (squares.narrow(1, i, x.shape[1]) for i in range(4))
        return x * (1 + sum(others, first) * (1e-3 / 9 / 4)).pow(-0.75)


class AlexNet(nn.Module):
    """AlexNet for images of about 224 × 224 pixels, with the parameter names of torchvision's.

    The last layer starts with weights 0 and biases 1, as it does in Dataset Distillation, so that
    all classes are alike at first.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width), at least 63 pixels high and wide.
    n_classes : int
        Number of classes.

    Notes
    -----
    A state dict of torchvision's with ImageNet weights becomes ``init``, one known net, when its
    last layer is replaced. Give images in the units that the weights were trained in, and keep
    them::

        weights = torch.load("alexnet.pth")
        fresh = AlexNet((3, 224, 224), 20).state_dict()
        head = {name: p for name, p in fresh.items() if name.startswith("classifier.6.")}
        distiller = DatasetDistiller(
            student=AlexNet, init=weights | head, standardize=False, n_epochs=3, distill_lr=0.001
        )

    Dropout is off in students, and so is not here.

    References
    ----------
    Krizhevsky (2014), One weird trick for parallelizing convolutional neural networks,
    arXiv:1404.5997.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import AlexNet
    >>> AlexNet((3, 64, 64), 20)(torch.zeros(2, 3, 64, 64)).shape
    torch.Size([2, 20])
    """

    def __init__(self, sample_shape: tuple[int, ...], n_classes: int) -> None:
        super().__init__()
        channels, _, _ = _image_shape(sample_shape, "AlexNet", at_least=63)
        self.features = nn.Sequential(
            nn.Conv2d(channels, 64, 11, stride=4, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(64, 192, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
            nn.Conv2d(192, 384, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(6)
        last = nn.Linear(4096, n_classes)
        nn.init.zeros_(last.weight)
        nn.init.ones_(last.bias)
        # In the places of dropout stand identities, so that the names are torchvision's.
        self.classifier = nn.Sequential(
            nn.Identity(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Identity(),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            last,
        )

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) of images (batch, channels, height, width)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _image_shape(sample_shape: tuple[int, ...], name: str, at_least: int) -> tuple[int, int, int]:
    if len(sample_shape) != 3 or min(sample_shape[1:]) < at_least:
        raise ValueError(
            f"{name} takes images of sample_shape (channels, height, width), at least {at_least} "
            f"pixels high and wide, but got sample_shape={tuple(sample_shape)}. "
            "Give sample_shape to the distiller, or choose student=MLP."
        )
    channels, height, width = sample_shape
    return channels, height, width
