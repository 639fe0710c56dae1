"""Students: the networks that learn from distilled data.

Each takes the shape of one sample and the number of classes, and returns logits. A student of your
own is any ``nn.Module`` class that does so. Its constructor may name ``sample_shape`` and
``n_classes``.
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

    As in that paper, weights start Xavier-normal and biases at 0.

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
            nn.ReLU(),  # after pooling the result is the same, at a quarter of the work
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
        """Return the logits of a batch of images.

        Parameters
        ----------
        x : Tensor of shape (batch, channels, height, width)
            Images.

        Returns
        -------
        Tensor of shape (batch, n_classes)
            Logits.
        """
        return self.classifier(self.features(x))


class ConvNet(nn.Sequential):
    """Blocks of convolution, instance norm, ReLU and average pooling, then a linear layer.

    In the literature, distillation methods are compared with ``width=128, depth=3``.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width); each block halves height and width.
    n_classes : int
        Number of classes.
    width : int, default=32
        Channels of each block.
    depth : int or None, default=None
        Number of blocks. ``None`` takes three, or fewer if the last one would see fewer than
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
            # The input of the last block has at least 4 × 4 pixels, its output 2 × 2.
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
    """The student of Dataset Distillation for CIFAR-10: two convolutions, three linear layers.

    As in that paper, weights start Xavier-normal and biases at 0.

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
            nn.ReLU(),  # after pooling the result is the same, at a quarter of the work
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
        """Return the logits of a batch of images.

        Parameters
        ----------
        x : Tensor of shape (batch, channels, height, width)
            Images.

        Returns
        -------
        Tensor of shape (batch, n_classes)
            Logits.
        """
        if x.device.type == "cpu":  # pooling is faster with the channels last
            x = x.contiguous(memory_format=torch.channels_last)
        return self.classifier(self.features(x))


class _ResponseNorm(nn.Module):
    """Local response normalisation, as a sum of slices: faster than torch's 3-D pooling."""

    def forward(self, x: Tensor) -> Tensor:
        """As ``nn.LocalResponseNorm(4, alpha=1e-3 / 9, beta=0.75, k=1)``."""
        squares = F.pad(x.square(), [0, 0, 0, 0, 2, 1])
        first, *others = (squares.narrow(1, i, x.shape[1]) for i in range(4))
        return x * (1 + sum(others, first) * (1e-3 / 9 / 4)).pow(-0.75)


class AlexNet(nn.Module):
    """AlexNet for images of about 224 × 224 pixels, with the parameter names of torchvision.

    As in Dataset Distillation, the last layer starts with weights 0 and biases 1, so that all
    classes have the same logit at first.

    Parameters
    ----------
    sample_shape : tuple of int
        (channels, height, width), at least 63 pixels high and wide.
    n_classes : int
        Number of classes.

    Notes
    -----
    To start from the ImageNet weights of torchvision, pass their state dict as ``init``, with a
    new last layer. Standardise the images as the weights expect, and set ``standardize=False``::

        weights = torch.load("alexnet.pth")
        fresh = AlexNet((3, 224, 224), 20).state_dict()
        head = {name: p for name, p in fresh.items() if name.startswith("classifier.6.")}
        distiller = DatasetDistiller(
            student=AlexNet, init=weights | head, standardize=False, n_epochs=3, distill_lr=0.001
        )

    The dropout layers of torchvision are left out, because dropout is off in students.

    References
    ----------
    Krizhevsky (2014), One weird trick for parallelizing convolutional neural networks,
    arXiv:1404.5997. Last layer: Wang, Zhu, Torralba and Efros (2018), Dataset Distillation,
    arXiv:1811.10959.

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
        # Identities stand in for dropout, so that parameters have the names of torchvision.
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
        """Return the logits of a batch of images.

        Parameters
        ----------
        x : Tensor of shape (batch, channels, height, width)
            Images.

        Returns
        -------
        Tensor of shape (batch, n_classes)
            Logits.
        """
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def _image_shape(sample_shape: tuple[int, ...], name: str, at_least: int) -> tuple[int, int, int]:
    if len(sample_shape) != 3 or min(sample_shape[1:]) < at_least:
        raise ValueError(
            f"{name} takes images of sample_shape (channels, height, width), at least {at_least} "
            f"pixels high and wide, but got sample_shape={tuple(sample_shape)}. "
            "Pass sample_shape to the distiller, or choose student=MLP."
        )
    channels, height, width = sample_shape
    return channels, height, width
