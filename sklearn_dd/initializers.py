"""Initialisers: functions that draw the weights of a module in place. Pass one as ``init=``."""

from __future__ import annotations

from torch import nn

from ._engine import ConvNd


def xavier_normal(module: nn.Module) -> None:
    """Draw Xavier-normal weights and set biases to 0, in place.

    The weights of linear and convolutional layers are normal with variance
    2 / (fan_in + fan_out). Other layers keep their weights.

    Parameters
    ----------
    module : nn.Module
        The module to initialise.

    See Also
    --------
    pytorch_default : Draws what PyTorch's layers draw by default.

    References
    ----------
    Glorot and Bengio (2010), Understanding the difficulty of training deep feedforward neural
    networks.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, xavier_normal
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(init=xavier_normal, max_iter=50, random_state=0).fit(X, y)
    >>> distiller.evaluate(X, y, n_inits=5).mean > 0.8
    True
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear | ConvNd):
            nn.init.xavier_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pytorch_default(module: nn.Module) -> None:
    """Draw the weights that PyTorch's layers draw when they are built, in place.

    It calls ``reset_parameters`` of every layer that has it. Weights and biases of linear and
    convolutional layers are then uniform between ±1 / √fan_in. This is of use for modules whose
    constructor draws something else, such as ``LeNet``.

    Parameters
    ----------
    module : nn.Module
        The module to initialise.

    See Also
    --------
    xavier_normal : Draws Xavier-normal weights.

    References
    ----------
    He, Zhang, Ren and Sun (2015), Delving deep into rectifiers, arXiv:1502.01852.

    Examples
    --------
    >>> from sklearn_dd import LeNet, pytorch_default
    >>> student = LeNet((1, 28, 28), 10)  # starts with biases 0
    >>> pytorch_default(student)
    >>> bool((student.classifier[-1].bias != 0).all())
    True
    """
    for layer in module.modules():
        reset = getattr(layer, "reset_parameters", None)
        if reset is not None:
            reset()
