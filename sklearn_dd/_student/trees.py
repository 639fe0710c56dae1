"""Counterparts of scikit-learn's trees, forests and boosting: fitted trees with soft splits."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn import config_context
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.ensemble import GradientBoostingClassifier, HistGradientBoostingClassifier
from torch import Tensor

from .._data import Array

_WIDTH = 0.3  # of a split, in standard deviations of a feature
_N_TREES = 16  # of a forest, that an outer iteration fits
_N_BOOSTED = 32  # of boosting, over all classes
_SHARE = 1 / 3  # of the iterations
_FEWEST_STAGES, _N_QUICK = 5, 200  # of boosting that is quicker; trees of all its classes
_LEAST = 1e-4  # of a forest's probabilities


class Level(NamedTuple):
    """The splits at one depth of all trees: their numbers, and those of the nodes they connect."""

    split: Array
    node: Array
    left: Array
    right: Array


@dataclass(frozen=True)
class SoftTrees:
    """Fitted trees as a differentiable function of the samples that they were fitted to.

    Which feature a node splits, and which samples come into it, stay as they were fitted. A split
    lies between two samples and moves with them: neighbours, or the first and the last in the node
    where splits are random. A sample of x goes to the left with a probability,
    the logistic function of its distance from the split, so that leaves are reached in part.

    Attributes
    ----------
    feature, below, above : ndarray of shape (n_splits,)
        The feature of each split, and the samples that it lies between.
    share : ndarray of shape (n_splits,)
        Where between these samples: 0.5 in the middle.
    levels : list of Level
        The splits from the roots downwards.
    roots : ndarray of shape (n_trees,)
        The nodes that all samples reach.
    shares : ndarray of shape (n_nodes, n_samples)
        What each sample that was learned from contributes to the mean of each leaf; 0 in nodes that
        are split.
    """

    feature: Array
    below: Array
    above: Array
    share: Array
    levels: Sequence[Level]
    roots: Array
    shares: Array

    @classmethod
    def of(cls, trees: Sequence[Any], x: Array, counts: Sequence[Array]) -> SoftTrees:
        """The soft form of fitted trees.

        Parameters
        ----------
        trees : sequence of sklearn.tree.BaseDecisionTree
            The trees.
        x : ndarray of shape (n_samples, n_features)
            What they were fitted to.
        counts : sequence of ndarray of shape (n_samples,)
            How often each tree has seen each sample.
        """
        parts, n_nodes = [], 0
        for fitted, count in zip(trees, counts, strict=True):
            parts.append(_one_tree(fitted, x, count, n_nodes))
            n_nodes += fitted.tree_.node_count
        feature, below, above, share, depth, edges, shares, roots = (
            np.concatenate(part) for part in zip(*parts, strict=True)
        )
        numbers = np.arange(len(feature))
        levels = [
            Level(numbers[depth == d], *edges[depth == d].T)
            for d in range(depth.max(initial=-1) + 1)
        ]
        return cls(feature, below, above, share, levels, roots, shares)

    def reached(self, x: Tensor, new: Tensor, width: float) -> Tensor:
        """How far each new sample reaches each node (n, n_nodes)."""
        low, high = x[self.below, self.feature], x[self.above, self.feature]
        threshold = low + torch.as_tensor(self.share).to(x) * (high - low)
        to_left = ((threshold - new[:, self.feature]) / width).sigmoid()
        columns = [new.new_ones(len(new), 1)]
        place = np.zeros(len(self.shares), int)  # of each node among the columns
        n = 1
        for split, node, left, right in self.levels:
            whole = torch.cat(columns, 1)[:, place[node]]
            columns += [whole * to_left[:, split], whole * (1 - to_left[:, split])]
            place[left], place[right] = (
                n + np.arange(len(left)),
                n + len(left) + np.arange(len(left)),
            )
            n += 2 * len(left)
        return torch.cat(columns, 1)[:, place]


def _one_tree(fitted: Any, x: Array, count: Array, first: int) -> tuple[Array, ...]:
    """What `SoftTrees.of` concatenates; ``first`` is the number of the root."""
    tree, own = fitted.tree_, np.flatnonzero(count)
    inside = tree.decision_path(x[own].astype(np.float32)).toarray().astype(bool)  # (n, n_nodes)
    split = np.flatnonzero(tree.children_left >= 0)
    left, right = tree.children_left[split], tree.children_right[split]
    feature = tree.feature[split]
    values = x[own][:, feature]  # of the samples, at the feature of each split
    lower, upper = inside[:, left], inside[:, right]
    if fitted.splitter == "best":  # between neighbours
        low, high = _largest(values, lower), _largest(-values, upper)
    else:  # drawn between the ends of a node
        low, high = _largest(-values, lower), _largest(values, upper)
    columns = np.arange(len(split))
    gap = values[high, columns] - values[low, columns]
    share = np.full(len(split), 0.5)
    np.divide(tree.threshold[split] - values[low, columns], gap, out=share, where=gap > 0)
    depth = _depths(tree)[split]
    weights = inside.T * count[own]
    shares = np.zeros((tree.node_count, len(x)))
    shares[:, own] = weights / weights.sum(1, keepdims=True)
    shares[split] = 0
    edges = first + np.stack([split, left, right], 1)
    return feature, own[low], own[high], share.clip(0, 1), depth, edges, shares, np.array([first])


def _largest(values: Array, mask: Array) -> Array:
    """The row of the largest value in each column, among those in the mask."""
    return np.where(mask, values, -np.inf).argmax(0)


def _depths(tree: Any) -> Array:
    """The depth of each node; parents come before their children."""
    depth = np.zeros(tree.node_count, int)
    for node in np.flatnonzero(tree.children_left >= 0):
        depth[[tree.children_left[node], tree.children_right[node]]] = depth[node] + 1
    return depth


@dataclass(frozen=True)
class Forest:
    """A tree or a forest, which says the mean of the labels in the leaves that a sample reaches.

    Parameters
    ----------
    model : estimator
        The unfitted tree or forest. Each call fits it, with fewer trees.
    width : float
        Width of a split.
    """

    model: BaseEstimator
    width: float = _WIDTH

    is_random: ClassVar[bool] = True
    share: ClassVar[float] = _SHARE

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The logarithm of class probabilities, or numbers."""
        _check_splits(self.model, len(x))
        fixed, labels = _fixed(x), y.detach().cpu().numpy()
        classifies = is_classifier(self.model)
        model = _seeded(self.model, generator, n_estimators=_N_TREES)
        _fit(model, fixed, labels.argmax(1) if classifies else labels[:, 0])
        trees = getattr(model, "estimators_", [model])
        drawn = getattr(model, "estimators_samples_", [np.arange(len(x))])
        counts = [np.bincount(rows, minlength=len(x)).astype(float) for rows in drawn]
        soft = SoftTrees.of(trees, fixed, counts)
        reached = soft.reached(x, new, self.width)
        found = reached @ (torch.as_tensor(soft.shares).to(y) @ y) / len(trees)
        return found.clamp(min=_LEAST).log() if classifies else found


@dataclass(frozen=True)
class Boosting:
    """Gradient boosting of trees.

    Parameters
    ----------
    model : estimator
        An unfitted ``GradientBoostingClassifier`` or ``GradientBoostingRegressor``. Each call fits
        it, with fewer and larger steps.
    width : float
        Width of a split.
    """

    model: BaseEstimator
    width: float = _WIDTH

    is_random: ClassVar[bool] = True
    share: ClassVar[float] = _SHARE

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        """The decision function of each class, or numbers."""
        _check_splits(self.model, len(x))
        fixed, labels = _fixed(x), y.detach().cpu().numpy()
        classifies, of = is_classifier(self.model), labels.argmax(1)
        if classifies and (of == of[0]).all():  # learned labels may leave one class
            return y[:1].clamp(min=_LEAST).log().expand(len(new), -1)
        per_stage = y.shape[1] if y.shape[1] > 2 else 1
        n = min(max(2, _N_BOOSTED // per_stage), self.model.n_estimators)
        rate = min(1.0, self.model.learning_rate * self.model.n_estimators / n)
        model = _seeded(self.model, generator, n_estimators=n).set_params(learning_rate=rate)
        _fit(model, fixed, of if classifies else labels[:, 0])
        trees = model.estimators_.ravel()
        soft = SoftTrees.of(trees, fixed, [np.ones(len(x))] * len(trees))
        reached = soft.reached(x, new, self.width)
        if classifies:
            shares = torch.bincount(torch.from_numpy(of), minlength=y.shape[1]) / len(of)
            prior = shares.clamp(min=_LEAST).log().to(x)  # what boosting starts from
            return prior + reached @ torch.as_tensor(_values(model, soft, y.shape[1])).to(x)
        return _boosted_numbers(soft, y, reached, rate)


def _values(model: Any, soft: SoftTrees, n_outputs: int) -> Array:
    """What each leaf adds to the decision function of each class (n_nodes, n_outputs)."""
    values = np.zeros((len(soft.shares), n_outputs))
    is_leaf = soft.shares.sum(1) > 0
    columns = model.classes_ if len(model.classes_) > 2 else model.classes_[1:]
    for k, (tree, root) in enumerate(zip(model.estimators_.ravel(), soft.roots, strict=True)):
        rows = slice(root, root + tree.tree_.node_count)
        added = model.learning_rate * tree.tree_.value[:, 0, 0]
        values[rows, columns[k % len(columns)]] = added * is_leaf[rows]
    return values


def _boosted_numbers(soft: SoftTrees, y: Tensor, reached: Tensor, rate: float) -> Tensor:
    """Numbers (n, 1) from trees each of which was fitted to what those before it left over."""
    shares = torch.as_tensor(soft.shares).to(y)
    inside = (shares.T > 0).to(y)
    left_over, found = y - y.mean(0), y.mean(0).expand(len(reached), 1)
    for root, end in itertools.pairwise([*soft.roots, len(shares)]):
        values = rate * shares[root:end] @ left_over
        left_over = left_over - inside[:, root:end] @ values
        found = found + reached[:, root:end] @ values
    return found


def quicker(model: BaseEstimator, n_outputs: int) -> Any:
    """The model itself, or boosting of many classes with fewer, larger steps."""
    kinds = GradientBoostingClassifier, HistGradientBoostingClassifier
    if not isinstance(model, kinds) or n_outputs < 3:
        return model
    name = "n_estimators" if isinstance(model, GradientBoostingClassifier) else "max_iter"
    most = getattr(model, name)
    n = min(most, max(_FEWEST_STAGES, _N_QUICK // n_outputs))
    rate = min(1.0, model.learning_rate * most / n)
    return clone(model).set_params(**{name: n, "learning_rate": rate})


def _check_splits(model: Any, n: int) -> None:
    """Refuse a model that cannot split so few samples, and so would learn nothing."""
    for name, least in (("min_samples_leaf", n // 2), ("min_samples_split", n)):
        if isinstance(given := getattr(model, name), int) and given > least:
            raise ValueError(
                f"student {type(model).__name__} has {name}={given}, so that it cannot split {n} "
                f"distilled samples. Set {name} to {least} or less, or distil more samples."
            )


def _fixed(x: Tensor) -> Array:
    """The samples as trees see them: in float32, whose midpoints float64 holds."""
    return x.detach().cpu().numpy().astype(np.float32).astype(np.float64)


def _fit(model: Any, x: Array, y: Array) -> None:
    """Fit without the checks of what was checked before, which take longer than small trees."""
    with config_context(assume_finite=True, skip_parameter_validation=True):
        model.fit(x, y)


def _seeded(model: BaseEstimator, g: torch.Generator, *, n_estimators: int) -> Any:
    """A copy with at most so many trees, and a seed of its own."""
    model = clone(model).set_params(random_state=int(torch.randint(2**31 - 1, (), generator=g)))
    if hasattr(model, "n_estimators"):
        model.set_params(n_estimators=min(n_estimators, model.n_estimators))
    return model
