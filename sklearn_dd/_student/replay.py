"""Students as skorch nets whose ``fit`` replays a distilled schedule."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import LRScheduler
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from .._data import Array, Continuous, Multiclass, Standardize, Table, Targets
from .._engine import Drawing, Optimizer, Weights, generator
from .spec import StudentSpec


class Standardized(nn.Module):
    """A student behind the affine map that standardises samples of X.

    Parameters
    ----------
    build : callable
        Builds the student.
    standardize : Standardize
        The affine map.
    weights : dict or None
        Initial parameters; ``None`` keeps those that ``build`` draws.
    """

    def __init__(
        self, build: Callable[[], nn.Module], standardize: Standardize, weights: Weights | None
    ) -> None:
        super().__init__()
        self.standardize = copy.deepcopy(standardize)  # skorch moves it to the device
        self.net = build()
        if weights is not None:
            self.net.load_state_dict(weights, strict=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (batch, n_classes) of samples in the units and the layout of X."""
        return self.net(self.standardize(x))


class StepSizes:
    """The learned step sizes as a function for ``LambdaLR``; after the last one, it repeats."""

    def __init__(self, lrs: Sequence[float]) -> None:
        self.lrs = lrs

    def __call__(self, step: int) -> float:
        return self.lrs[min(step, len(self.lrs) - 1)]


class Replayed(torch.optim.Optimizer):
    """An inner optimiser of the engine as a torch optimiser.

    Parameters
    ----------
    params : iterable of Parameter
        The parameters to train.
    lr : float
        Step size, which the schedule changes at each step.
    rule : Optimizer
        The engine's optimiser.
    """

    def __init__(self, params: Any, lr: float, rule: Optimizer) -> None:
        super().__init__(params, {"lr": lr})
        self.rule = rule
        self.carry = rule.start(self._named("data"))

    def _named(self, what: str) -> dict[str, Tensor]:
        parameters = [p for group in self.param_groups for p in group["params"]]
        return {str(i): getattr(p, what) for i, p in enumerate(parameters)}

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Take one step with the gradients that ``closure`` computes."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        params, *state = self.carry
        gradient = {
            k: torch.zeros_like(params[k]) if g is None else g
            for k, g in self._named("grad").items()
        }
        lr = torch.tensor(self.param_groups[0]["lr"], device=next(iter(params.values())).device)
        after, *state = self.rule.update((params, *state), gradient, lr)
        for name, p in params.items():
            p.copy_(after[name])
        self.carry = (params, *state)
        return loss


class _Replay(NeuralNet):
    """A skorch net whose ``fit`` replays the distilled schedule step by step.

    It takes gradient steps on the distilled mini-batches, in order and with the learned step sizes.
    As in the engine, the module is always in evaluation mode: dropout is off.
    """

    def __init__(self, *args: Any, table: Table | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Convert a DataFrame to an array: skorch would pass its columns as module arguments."""
        if hasattr(X, "columns"):
            X = np.array(X) if self.table is None else self.table.encode(X)
        return super().get_dataset(X, y)

    def _set_training(self, training: bool = True) -> None:
        super()._set_training(False)


class ReplayClassifier(_Replay, NeuralNetClassifier):
    """A skorch classifier that replays the distilled schedule and predicts class labels."""

    def predict(self, X: Any) -> Array:
        """Return class labels (n,) for samples in the units of X."""
        return np.asarray(self.classes_)[self.predict_proba(X).argmax(axis=1)]


class ReplayMultilabel(_Replay, NeuralNetClassifier):
    """A skorch classifier that replays the schedule and predicts labels as 1 and 0."""

    def predict(self, X: Any) -> Array:
        """Return 1 for each label with a probability above 0.5, else 0: (n, n_labels)."""
        return (self.predict_proba(X) > 0.5).astype(np.int64)


class ReplayRegressor(_Replay, NeuralNetRegressor):
    """A skorch regressor that learns standardised targets and predicts in the units of y.

    Parameters
    ----------
    *args, **kwargs
        Arguments of ``NeuralNetRegressor``.
    decode : callable
        Outputs (n, 1) -> predictions (n,) in the units of y.
    """

    def __init__(self, *args: Any, decode: Callable[[Tensor], Array], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.decode = decode

    def predict(self, X: Any) -> Array:
        """Return predictions (n,) in the units of y, for samples in the units of X."""
        return self.decode(torch.from_numpy(self.predict_proba(X)))


Student = ReplayClassifier | ReplayMultilabel | ReplayRegressor


def replay_student(
    spec: StudentSpec,
    weights: Weights,
    units: Standardize,
    targets: Targets,
    X: Array,  # (n, *input_shape)
    y: Array,  # as DistilledData holds it
    lrs: Array,  # (n_epochs, n_steps)
    device: torch.device,
    table: Table | None = None,
) -> Student:
    """Train a skorch student on distilled data, starting from ``weights``."""
    kind, labels, options = _kind_of(targets, y)
    n_epochs, n_steps = lrs.shape
    student = kind(
        Standardized,
        module__build=spec,
        module__standardize=units,
        module__weights=weights,
        optimizer=Replayed,
        optimizer__rule=spec.optimizer,
        lr=1.0,
        max_epochs=n_epochs,
        batch_size=len(X) // n_steps,
        iterator_train__shuffle=False,
        iterator_valid__batch_size=1024,
        train_split=None,
        callbacks=[
            LRScheduler(LambdaLR, lr_lambda=StepSizes(lrs.ravel().tolist()), step_every="batch")
        ],
        callbacks__print_log=None,
        verbose=0,
        device=str(device),
        table=table,
        **options,
    )
    # The constructor draws weights that are replaced at once, without the global generator.
    with Drawing(generator(0)):
        return student.fit(X, labels.astype(np.int64 if labels.ndim == 1 else np.float32))


def _kind_of(targets: Targets, y: Array) -> tuple[Any, Array, dict[str, Any]]:
    """The class of a student, the labels that it learns, and its options."""
    if isinstance(targets, Continuous):
        return ReplayRegressor, targets.encode(y).numpy(), {"decode": targets.decode}
    if isinstance(targets, Multiclass):
        options = {"criterion": nn.CrossEntropyLoss, "classes": targets.values}
        return ReplayClassifier, targets.indices(y), options
    options = {
        "criterion": nn.BCEWithLogitsLoss,
        "criterion__weight": torch.tensor(float(targets.n_outputs)),  # a sum over labels
        "predict_nonlinearity": torch.sigmoid,
        "classes": targets.values,
    }
    return ReplayMultilabel, y, options
