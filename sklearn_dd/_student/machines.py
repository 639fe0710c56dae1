"""Support vector machines as differentiable functions of the samples that they learn from."""

from __future__ import annotations

import itertools
import warnings
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn import config_context
from sklearn.exceptions import ConvergenceWarning
from sklearn.svm import SVC
from torch import Tensor

from .._data import Array
from .._engine import counterparts as of

_TOL, _MAX_ITER = 1e-6, 100_000  # of the optimum
_JITTER = 1e-9  # of a kernel, for samples that are alike


def gamma_of(gamma: float | str | None) -> tuple[float | None, bool]:
    """The number, if it is one, and whether it is divided by the variance of the samples."""
    return None if gamma is None or isinstance(gamma, str) else gamma, gamma == "scale"


class Pairs(NamedTuple):
    """A machine for each pair of classes, as it was fitted.

    Attributes
    ----------
    members : ndarray of shape (n_pairs, n_members)
        The samples of both classes. Smaller pairs repeat their first one, with coefficients of 0.
    target : ndarray of shape (n_pairs, n_members)
        1 for the first class and -1 for the second.
    dual : ndarray of shape (n_pairs, n_members)
        What each sample contributes.
    is_free : ndarray of shape (n_pairs, n_members)
        Whether a sample lies on the margin, so that its contribution is between 0 and C.
    sign : ndarray of shape (n_pairs, n_classes)
        1 for the first class and -1 for the second.
    """

    members: Array
    target: Array
    dual: Array
    is_free: Array
    sign: Array


@dataclass(frozen=True)
class SupportVectors:
    """A support vector classifier itself, which scikit-learn fits.

    Which samples lie on the margin stays as it was fitted. Their contributions and the intercept
    follow from linear equations: outputs on the margin are 1 or -1, and contributions add up to 0.
    The derivative of their solution is that of the machine (Chapelle, Vapnik, Bousquet and
    Mukherjee 2002, Choosing multiple parameters for support vector machines). Between several
    classes, the outputs of pairs are added up in place of a vote.

    Labels that belong to several classes in part are learned by kernel ridge regression, or by a
    squared hinge loss with a linear kernel.

    Parameters
    ----------
    model : SVC
        The unfitted model, with a linear or a Gaussian kernel.
    """

    model: SVC

    is_random: ClassVar[bool] = False
    share: ClassVar[float] = 1.0

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The sum of the decision functions of each class against the others."""
        if not ((y == 0) | (y == 1)).all():
            return self._of_shares()(x, y, new, generator)
        pairs = self._fitted(x, y)
        wide = x.double()
        kernel = self._kernel(wide, wide)
        members = torch.as_tensor(pairs.members, device=x.device)
        dual, intercept = _solved(kernel[members[:, :, None], members[:, None, :]], pairs)
        weights = dual.new_zeros(len(pairs.members), len(x)).scatter_add(1, members, dual)
        outputs = self._kernel(wide, new.double()) @ weights.T + intercept
        return (outputs @ torch.as_tensor(pairs.sign).to(outputs)).to(new)

    def _kernel(self, x: Tensor, new: Tensor) -> Tensor:
        """Kernel (n, m) of new samples and x."""
        if self.model.kernel == "linear":
            return new @ x.T
        gamma: Any = self.model.gamma
        if gamma == "scale":
            gamma = 1 / (x.shape[1] * x.var(unbiased=False))
        elif gamma == "auto":
            gamma = 1 / x.shape[1]
        return torch.exp(-gamma * of.distances(x, new))

    def _of_shares(self) -> of.Counterpart:
        """What stands for the machine where labels are shared."""
        if self.model.kernel == "linear":
            return of.Linear(of.SQUARED_HINGE, C=self.model.C)
        return of.KernelRidge(self.model.C, *gamma_of(self.model.gamma))

    def _fitted(self, x: Tensor, y: Tensor) -> Pairs:
        """Fit the model, and take it apart into pairs of classes."""
        fixed, labels = x.detach().double().cpu().numpy(), y.detach().cpu().numpy().argmax(1)
        of_user = self.model
        model = SVC(
            C=of_user.C, kernel=of_user.kernel, gamma=of_user.gamma, tol=_TOL, max_iter=_MAX_ITER
        )
        as_it_is = config_context(assume_finite=True, skip_parameter_validation=True)
        with as_it_is, warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(fixed, labels)
        n_classes, present = y.shape[1], model.classes_
        dual = np.zeros((len(present) - 1, len(x)))
        dual[:, model.support_] = model.dual_coef_
        flip = -1 if len(present) == 2 else 1  # scikit-learn turns the sign of a single pair
        own = [np.flatnonzero(labels == c) for c in present]
        both = [*itertools.combinations(range(len(present)), 2)]
        width = max(len(own[i]) + len(own[j]) for i, j in both)
        shape = len(both), width
        found = Pairs(
            np.zeros(shape, int), np.zeros(shape), np.zeros(shape), np.zeros(shape, bool),
            np.zeros((len(both), n_classes)),
        )  # fmt: skip
        for k, (i, j) in enumerate(both):
            rows = np.concatenate([own[i], own[j]])
            values = np.concatenate([dual[j - 1, own[i]], dual[i, own[j]]]) * flip
            n = len(rows)
            found.members[k] = rows[0]
            found.members[k, :n] = rows
            values[np.abs(values) <= _TOL * self.model.C] = 0
            found.dual[k, :n] = values
            found.target[k, :n] = np.repeat([1, -1], [len(own[i]), len(own[j])])
            size = np.abs(values)
            found.is_free[k, :n] = (size > 0) & (size < self.model.C * (1 - _TOL))
            found.sign[k, [present[i], present[j]]] = 1, -1
        return found


def _solved(kernels: Tensor, pairs: Pairs) -> tuple[Tensor, Tensor]:
    """Contributions (n_pairs, n_members) and intercepts (n_pairs,), with their derivative.

    Free samples have an equation for their output, and others keep what they contribute.
    """
    n_pairs, n = pairs.members.shape
    free, dual, target = (
        torch.as_tensor(a).to(kernels) for a in (pairs.is_free, pairs.dual, pairs.target)
    )
    has_free = (free.sum(1) > 0).to(kernels)
    eye = torch.eye(n, dtype=kernels.dtype, device=kernels.device)
    rows = free[:, :, None] * (kernels + _JITTER * eye) + (1 - free)[:, :, None] * eye
    system = kernels.new_zeros(n_pairs, n + 1, n + 1)
    system[:, :n, :n] = rows
    system[:, :n, n] = free
    system[:, n, :n] = has_free[:, None]
    system[:, n, n] = 1 - has_free
    wanted = torch.cat(
        [free * target + (1 - free) * dual, torch.zeros_like(has_free)[:, None]], dim=1
    )
    found = torch.linalg.solve_ex(system, wanted)[0]
    middle = _middle(target - (kernels @ dual[:, :, None])[:, :, 0], dual, target)
    return found[:, :n], torch.where(has_free > 0, found[:, n], middle)


def _middle(gap: Tensor, dual: Tensor, target: Tensor) -> Tensor:
    """The middle of all intercepts that are optimal where no sample is free (n_pairs,).

    ``gap`` is what outputs without an intercept lack. A sample that contributes C is on the wrong
    side of its margin, and one that contributes nothing is on the right side.
    """
    is_most = torch.where(dual == 0, target < 0, target > 0) & (target != 0)
    is_least = ~is_most & (target != 0)
    most = gap.masked_fill(~is_most, torch.inf).amin(1)
    least = gap.masked_fill(~is_least, -torch.inf).amax(1)
    return (most + least) / 2
