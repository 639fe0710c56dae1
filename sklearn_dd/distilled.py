"""Distilled data: what a fit returns, what is shared, what a student is trained on."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import joblib
import numpy as np
import torch
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import nn

from .data import Array, Standardize, resolve_device
from .engine.inner_loop import Learner
from .engine.optimizers import SGD, Adam, Momentum, Optimizer
from .engine.priors import Pool, Prior, Weights, draw
from .engine.seeds import Stream
from .files import Format
from .student import (
    Network,
    ReplayClassifier,
    ReplayMultilabel,
    ReplayRegressor,
    choose_network,
    learner,
    replay_student,
    state_of,
    weight_prior,
)
from .targets import Classes, Labels, Numbers, Targets, read_targets
from .validation import with_gradients

_FORMAT = Format("sklearn_dd.distilled", 1, "distilled data", "save_distilled")
Student = ReplayClassifier | ReplayMultilabel | ReplayRegressor
STUDENT = ("student", "student_arguments", "student_optimizer")  # in a description
_DESCENT = SGD()
_INITIAL = "initial."  # the prefix of the known net's parameters in a file


@dataclass(eq=False)
class Recipe:
    """What has to be known beside the triple to train a student on it.

    Attributes
    ----------
    targets : Classes, Labels or Numbers
        What y is.
    standardize : Standardize
        Layout and affine map of the samples.
    weights : dict or None
        The known initial parameters where ``init`` is ``"fixed"`` or a list of one net.
    student : None, nn.Module class or NeuralNetClassifier
        What the data were distilled for; a file cannot hold it and keeps its name in `description`.
    init : {"random", "fixed"}, callable or list
        The weight prior that they were distilled for; a file cannot hold a callable or a pool.
    description : dict
        How the data were made: parameters, seed, versions. A warm start looks there whether labels
        are learned alike; nothing else depends on it.
    optimizer : Optimizer
        What takes the steps of the schedule.
    """

    targets: Targets
    standardize: Standardize
    weights: Weights | None = None
    student: Any = None
    init: Any = "random"
    description: dict[str, Any] = field(default_factory=dict)
    optimizer: Optimizer = _DESCENT

    @property
    def classes(self) -> Array:
        """Class labels, in the order of the logits."""
        assert not isinstance(self.targets, Numbers)
        return self.targets.values

    def network(self, student: Any = None) -> Network:
        """The network of ``student``, or the one that the data were distilled for.

        A skorch net brings an optimiser of its own.
        """
        given, shape = self.student if student is None else student, self.standardize.sample_shape
        return choose_network(given, shape, self.targets.n_outputs, self.optimizer)

    def learner(self, network: Network, device: torch.device) -> Learner:
        """How ``network`` learns what y is."""
        return replace(learner(network, device), loss=self.targets.loss)

    def prior(self, network: Network, seed: int) -> Prior:
        """Where ``network`` starts.

        Another network than the data's own takes their prior only if that is a callable.
        """
        if self.weights is not None:
            if {k: tuple(p.shape) for k, p in self.weights.items()} == network.shapes():
                return Pool([self.weights])
            return weight_prior("random", network, seed)
        if isinstance(self.init, str) or callable(self.init):
            return weight_prior(self.init, network, seed)
        own = identity(network) == identity(self.network())
        return weight_prior(self.init if own else "random", network, seed)

    def lost_weights(self, prior: Prior, network: Network) -> str:
        """What weights the data were distilled for, where ``prior`` draws random ones instead."""
        given = self.description.get("parameters", {}).get("init", "random")
        if isinstance(prior, Pool) or callable(self.init):
            return ""
        if self.weights is not None:
            return f"one known net, whose weights don't fit this {network.name}"
        if not isinstance(self.init, str):
            return f"a pool of other nets than this {network.name}"
        return "" if given in ("random", "fixed") else "weights that a file does not hold"


class _Triple(NamedTuple):
    X: Any
    y: Array
    lrs: Array


class DistilledData(_Triple):
    """Synthetic samples, their labels and the step sizes to train with.

    Unpacks into three: ``X_syn, y_syn, lrs = distilled``.

    Parameters
    ----------
    X : ndarray of shape (n, n_features) or (n, ...), or a DataFrame
        Synthetic samples in the units and the layout of the X that was distilled. Rows are ordered
        by step, class within step.
    y : ndarray of shape (n,) or (n, n_classes)
        Class labels; class probabilities or numbers (n, n_classes) where the labels were learned;
        1 and 0 (n, n_classes) where a sample may have several; numbers (n,) of a regression.
    lrs : ndarray of shape (n_epochs, n_steps)
        Step size of each gradient step. Step t trains on the mini-batch of rows
        ``k * n // n_steps : (k + 1) * n // n_steps`` with ``k = t % n_steps``.
    recipe : Recipe or None, default=None
        What training a student needs beside the triple.

    See Also
    --------
    DatasetDistiller : Makes distilled data.
    save_distilled : Writes them to a file.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_wine(return_X_y=True)
    >>> distilled = DatasetDistiller(max_iter=20, random_state=0).fit_transform(X, y)
    >>> distilled.X.shape, distilled.y, distilled.lrs.shape
    ((3, 13), array([0, 1, 2]), (10, 1))
    >>> student = distilled.train(random_state=1)
    >>> student.predict_proba(X).shape
    (178, 3)
    """

    recipe: Recipe | None = None

    def __new__(cls, X: Any, y: Array, lrs: Array, recipe: Recipe | None = None) -> DistilledData:
        self = super().__new__(cls, X, y, lrs)
        self.recipe = recipe
        return self

    def _replace(self, **changes: Any) -> DistilledData:
        return DistilledData(*super()._replace(**changes), self.recipe)

    @with_gradients
    def train(
        self,
        student: Any = None,
        *,
        init: Any = None,
        random_state: Any = None,
        device: str = "auto",
    ) -> Student:
        """Train a fresh student on the distilled data alone.

        Parameters
        ----------
        student : None, nn.Module class or NeuralNetClassifier, default=None
            The network; ``None`` takes the one that the data were distilled for, or after loading
            a file chooses by the shape of a sample, with a warning if that is another one. A class
            is trained by the optimiser that they were distilled for, a skorch net by its own.
        init : None, {"random", "fixed"}, callable, list, dict or path-like, default=None
            The weights to start from, such as the state dict of a net to adapt. ``None`` takes
            those that the data were distilled for: the one known net, or one of a pool; where they
            don't fit the student, or a file could not hold them, random ones, with a warning.
        random_state : int, RandomState instance or None, default=None
            Decides the initial weights, and which of a pool they are.
        device : str, default="auto"
            Where to train; ``"auto"`` takes CUDA, else MPS, else the CPU.

        Returns
        -------
        NeuralNetClassifier or NeuralNetRegressor
            A fitted skorch net that takes samples in the units of X, and the columns of a
            DataFrame in the order of X. Its ``predict`` returns indices into ``recipe.classes``, 1
            and 0 for each of several labels, or numbers in the units of y.
        """
        if self.recipe is None:
            raise ValueError(
                "This DistilledData has no recipe, so it does not know its classes and units: "
                "take it from DatasetDistiller.transform or load_distilled."
            )
        recipe = self.recipe
        network = recipe.network(student)
        made_for, chosen = [recipe.description.get(key) for key in STUDENT], identity(network)
        if student is None and recipe.description and made_for != chosen:
            warnings.warn(
                "The data were distilled for {} {} with {}, and {} {} with {} was chosen by the "
                "shape of a sample. Pass the same student.".format(*made_for, *chosen),
                stacklevel=3,
            )
        seed = int(check_random_state(random_state).randint(2**31))
        if init is None:
            prior = recipe.prior(network, seed)
            lost = recipe.lost_weights(prior, network)
            if lost:
                warnings.warn(
                    f"The data were distilled for {lost}: the student starts from random ones. "
                    "Pass the same student, or weights as init.",
                    stacklevel=3,
                )
        else:
            prior = weight_prior(init, network, seed)
        params = draw(prior, range(1), seed, Stream.STUDENT)
        weights = {name: p[0] for name, p in params.items()}
        return self.train_from(network, weights, resolve_device(device))

    def train_from(self, network: Network, weights: Weights, device: Any) -> Student:
        """Train ``network`` from known weights."""
        recipe = self.recipe
        assert recipe is not None
        targets, given = recipe.targets, (network, recipe.standardize, weights, np.array(self.X))
        if isinstance(targets, Numbers):
            y = targets.encode(self.y).numpy()
            return replay_student(
                ReplayRegressor, *given, y, self.lrs, device, decode=targets.decode
            )
        classes = np.arange(targets.n_outputs)
        if isinstance(targets, Labels):
            return replay_student(
                ReplayMultilabel, *given, self.y, self.lrs, device, classes=classes,
                criterion=nn.BCEWithLogitsLoss, predict_nonlinearity=torch.sigmoid,
                criterion__weight=torch.tensor(float(targets.n_outputs)),  # a sum over labels
            )  # fmt: skip
        return replay_student(
            ReplayClassifier, *given, targets.indices(self.y), self.lrs, device,
            criterion=nn.CrossEntropyLoss, classes=classes,
        )  # fmt: skip

    def as_tensors(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Standardised x (n_steps, batch, *sample_shape), y (n_steps, batch, n_outputs), lrs."""
        recipe = self.recipe
        assert recipe is not None
        n_steps = self.lrs.shape[1]
        z = recipe.standardize(torch.tensor(np.asarray(self.X)))
        y = recipe.targets.encode(self.y)
        return (
            z.reshape(n_steps, -1, *z.shape[1:]),
            y.reshape(n_steps, -1, y.shape[1]),
            torch.as_tensor(self.lrs, dtype=torch.float32),
        )


def describe(value: Any) -> Any:
    """What JSON can hold of ``value``: numbers, names and hashes of arrays, in lists and dicts."""
    state = state_of(value)
    if state:
        return f"weights {joblib.hash({name: _on_host(p) for name, p in state.items()})}"
    if isinstance(value, np.ndarray | torch.Tensor):
        return f"array {joblib.hash(_on_host(value))}"
    if isinstance(value, Mapping):
        return {str(k): describe(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [describe(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str | int | float | None):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        # Such as an estimator. Not by its repr, which may hold the address of a function.
        members = {f.name: describe(getattr(value, f.name)) for f in fields(value) if f.init}
        return f"{type(value).__name__}({', '.join(f'{k}={v}' for k, v in members.items())})"
    if isinstance(value, torch.dtype | torch.device):
        return str(value)
    name = getattr(value, "__name__", type(value).__name__)
    given = _given(value)
    return f"{name}({', '.join(map(str, given))})" if given else name


def _given(value: Any) -> list[Any]:
    """What a callable was made with, which its name does not tell."""
    if isinstance(value, type) or not callable(value):
        return []
    if isinstance(value, partial):
        return [describe(of) for of in (value.func, value.args, value.keywords)]
    code = getattr(value, "__code__", None)
    if code is None:
        members = getattr(value, "__dict__", {})
        given = [members[name] for name in sorted(members) if not name.startswith("_")]
    else:
        cells = (cell.cell_contents for cell in value.__closure__ or ())
        given = [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values(), *cells]
        if code.co_name == "<lambda>":  # which has no name either
            given += [code.co_code.hex(), *code.co_names, *code.co_consts]
    # Only what can be told from its value: what a function closes over may be the function.
    told = str | int | float | None | np.generic | np.ndarray | torch.Tensor
    return [describe(of) if isinstance(of, told) else type(of).__name__ for of in given]


def identity(network: Network) -> list[Any]:
    """What tells a network from another, as JSON can hold it."""
    return [network.name, describe(network.arguments), repr(network.optimizer)]


def _on_host(values: Any) -> Any:
    return values.detach().cpu().float().numpy() if isinstance(values, torch.Tensor) else values


def check_distiller(distiller: Any, what: str) -> None:
    """Refuse all but a fitted distiller."""
    if not hasattr(type(distiller), "_distilled_data"):
        raise TypeError(
            f"{what} takes a fitted distiller, got {type(distiller).__name__}. Of a pipeline give "
            "its last step, pipe[-1], and of a search best_estimator_."
        )
    check_is_fitted(distiller, "history_")


def save_distilled(path: str | os.PathLike[str], distilled: Any) -> None:
    """Write distilled data to one safetensors file, with all that training a student needs.

    The file holds X, y, step sizes, classes, the layout and standardisation of the samples, the
    initial weights where they were fixed, and how the data were made. It holds no code, so that it
    is safe to load from others. It is written whole or not at all.

    Parameters
    ----------
    path : str or path-like
        Where to write, by custom with the ending ``.safetensors``.
    distilled : DatasetDistiller or DistilledData
        A fitted distiller, or what its ``transform`` returned.

    See Also
    --------
    load_distilled : Reads the file.

    Examples
    --------
    >>> import os, tempfile
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, load_distilled, save_distilled
    >>> distiller = DatasetDistiller(max_iter=5, random_state=0).fit(*load_wine(return_X_y=True))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "wine.safetensors")
    ...     save_distilled(path, distiller)
    ...     X_syn, y_syn, lrs = load_distilled(path)
    >>> y_syn
    array([0, 1, 2])
    """
    if not isinstance(distilled, DistilledData):
        check_distiller(distilled, "save_distilled")
        distilled = distilled.transform()
    data = distilled
    recipe = data.recipe
    if recipe is None:
        raise ValueError(
            "distilled has no recipe: take it from DatasetDistiller.transform or load_distilled."
        )
    standardize = recipe.standardize
    y = data.y
    if isinstance(recipe.targets, Classes):
        y = recipe.targets.indices(y)
    arrays = {"X": np.asarray(data.X), "y": y, "lrs": data.lrs}
    tensors = {name: torch.tensor(a) for name, a in arrays.items()}
    tensors |= {"shift": standardize.shift, "scale": standardize.scale}
    tensors |= {_INITIAL + name: p for name, p in (recipe.weights or {}).items()}
    header = {
        **recipe.targets.facts(),
        "input_shape": standardize.input_shape,
        "sample_shape": standardize.sample_shape,
        "order": "by step, class within step; step t trains on mini-batch t mod n_steps",
        "optimizer": {"name": type(recipe.optimizer).__name__, **vars(recipe.optimizer)},
        "description": recipe.description,
    }
    _FORMAT.write(path, tensors, header)


def load_distilled(path: str | os.PathLike[str]) -> DistilledData:
    """Read distilled data that ``save_distilled`` wrote.

    Parameters
    ----------
    path : str or path-like
        The file.

    Returns
    -------
    DistilledData
        The triple (X, y, lrs) that the distiller's ``transform`` returned; its ``train`` trains any
        student.

    Raises
    ------
    ValueError
        If the file is damaged, of another kind, or of a later version of this format.

    See Also
    --------
    save_distilled : Writes the file; its example shows both.
    """
    tensors, header = _FORMAT.read(path)
    try:
        return _read(header, tensors)
    except (LookupError, TypeError, ValueError, RuntimeError, ArithmeticError) as error:
        raise _FORMAT.damaged(path, error) from error


def _read_optimizer(name: str, **arguments: Any) -> Optimizer:
    kinds: dict[str, Callable[..., Optimizer]] = {k.__name__: k for k in (SGD, Momentum, Adam)}
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in arguments.items()}
    return kinds[name](**given)


def _read(header: dict[str, Any], tensors: dict[str, torch.Tensor]) -> DistilledData:
    """What a file holds, checked; errors of several types tell that it is damaged."""
    targets = read_targets(header)
    X, y, lrs = (tensors[name].numpy() for name in ("X", "y", "lrs"))
    shift, scale = tensors["shift"], tensors["scale"]
    standardize = Standardize(
        tuple(header["input_shape"]), tuple(header["sample_shape"]), shift, scale
    )
    weights = {
        name.removeprefix(_INITIAL): p for name, p in tensors.items() if name.startswith(_INITIAL)
    }
    _, n_steps = lrs.shape
    if X.shape[1:] != standardize.input_shape or len(X) != len(y) or len(X) % n_steps:
        raise ValueError(f"X is {X.shape}, y {y.shape}, lrs {lrs.shape}")
    if isinstance(targets, Classes):
        if y.shape[1:] not in {(), targets.values.shape} or (y.ndim == 1 and y.min() < 0):
            raise ValueError("y does not hold the classes")
        y = y if y.ndim == 2 else targets.values[y]
    elif y.shape[1:] != (() if isinstance(targets, Numbers) else targets.values.shape):
        raise ValueError("y does not hold the labels or numbers")
    optimizer = header.get("optimizer", {"name": SGD.__name__})  # the first files don't say
    recipe = Recipe(
        targets, standardize, weights or None, description=header["description"],
        optimizer=_read_optimizer(**optimizer),
    )  # fmt: skip
    data = DistilledData(X, y, lrs, recipe)
    data.as_tensors()  # whose reshaping fails where shift or scale do not fit
    return data
