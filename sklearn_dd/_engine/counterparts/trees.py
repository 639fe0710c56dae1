"""Models of axis-parallel splits, fitted by scikit-learn, with their splits softened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor


@dataclass
class Splits:
    """The splits of some trees, numbered together, as functions of the samples they were fitted to.

    A split lies between two neighbouring samples, ``below`` and ``above``, so that it moves with
    them: threshold = x[below] + share * (x[above] - x[below]).
    """

    feature: np.ndarray  # of each split
    below: np.ndarray
    above: np.ndarray
    share: np.ndarray
    levels: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
    # of each depth: split, its node, its left child's node, its right child's node
    roots: np.ndarray
    n_nodes: int
    values: np.ndarray  # (n_nodes, n_outputs), 0 where a node is split

    @classmethod
    def of(cls, trees: list[Any], x: np.ndarray, used: list[np.ndarray], values: list[np.ndarray]):
        """The splits of fitted trees.

        Parameters
        ----------
        trees : list of sklearn.tree._tree.Tree
        x : what they were fitted to
        used : for each tree, the rows that it was fitted to
        values : for each tree, (its n_nodes, n_outputs)
        """
        feature, below, above, share, roots, vals = [], [], [], [], [], []
        rows: list[tuple[int, int, int, int, int]] = []
        at = 0
        for tree, own, value in zip(trees, used, values, strict=True):
            path = tree.decision_path(x[own].astype(np.float32)).toarray().astype(bool)
            left, right = tree.children_left, tree.children_right
            depth = np.zeros(tree.node_count, int)
            value = value.copy()
            for node in range(tree.node_count):
                if left[node] < 0:
                    continue
                value[node] = 0
                depth[left[node]] = depth[right[node]] = depth[node] + 1
                f = tree.feature[node]
                lows, highs = own[path[:, left[node]]], own[path[:, right[node]]]
                a, b = lows[x[lows, f].argmax()], highs[x[highs, f].argmin()]
                gap = x[b, f] - x[a, f]
                rows.append(
                    (depth[node], len(feature), at + node, at + left[node], at + right[node])
                )
                feature.append(f), below.append(a), above.append(b)
                share.append((tree.threshold[node] - x[a, f]) / gap if gap > 0 else 0.5)
            roots.append(at)
            vals.append(value)
            at += tree.node_count
        table = np.array(rows, int).reshape(-1, 5)
        levels = [
            tuple(table[table[:, 0] == d, 1:].T)
            for d in range(table[:, 0].max() + 1 if len(table) else 0)
        ]
        return cls(
            np.array(feature, int), np.array(below, int), np.array(above, int),
            np.clip(np.array(share, float), 0, 1), levels, np.array(roots), at, np.concatenate(vals),
        )  # fmt: skip

    def __call__(self, x: Tensor, new: Tensor, width: float) -> Tensor:
        """The sum over trees of what they say, where a split is as wide as that."""
        f = torch.as_tensor(self.feature)
        low, high = x[self.below, f], x[self.above, f]
        threshold = low + torch.as_tensor(self.share).to(x) * (high - low)
        gates = ((threshold - new[:, f]) / width).sigmoid()  # (n, n_splits), how far to the left
        # Columns are stacked by level, since writing in place would break the graph.
        place = np.full(self.n_nodes, -1)
        place[self.roots] = np.arange(len(self.roots))
        columns, n = [new.new_ones(len(new), len(self.roots))], len(self.roots)
        for split, node, left, right in self.levels:
            parent = torch.cat(columns, 1)[:, place[node]]
            g = gates[:, split]
            columns += [parent * g, parent * (1 - g)]
            place[left] = n + np.arange(len(left))
            place[right] = n + len(left) + np.arange(len(right))
            n += 2 * len(left)
        reached = torch.cat(columns, 1)
        values = np.zeros((n, self.values.shape[1]))
        values[place] = self.values
        return reached @ torch.as_tensor(values).to(x)


@dataclass
class Forest:
    """A random forest."""

    n_trees: int = 16
    max_features: Any = "sqrt"
    bootstrap: bool = True
    width: float = 0.3
    arguments: dict = None
    splitter: str = "best"

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        fixed, labels = x.detach().double().numpy(), y.argmax(1).numpy()
        fixed32 = fixed.astype(np.float32).astype(float)
        seed = int(torch.randint(2**31, (), generator=generator))
        rng = np.random.default_rng(seed)
        trees, used, values = [], [], []
        k = y.shape[1]
        for i in range(self.n_trees):
            counts = np.ones(len(x))
            if self.bootstrap:
                counts = np.bincount(rng.integers(len(x), size=len(x)), minlength=len(x)).astype(
                    float
                )
            own = np.flatnonzero(counts)
            m = DecisionTreeClassifier(
                max_features=self.max_features,
                splitter=self.splitter,
                random_state=seed % 2**30 + i,
                **(self.arguments or {}),
            )
            m.fit(fixed32[own], labels[own], sample_weight=counts[own])
            v = np.zeros((m.tree_.node_count, k))
            v[:, m.classes_.astype(int)] = m.tree_.value[:, 0]
            v = v / v.sum(1, keepdims=True)
            trees.append(m.tree_), used.append(own), values.append(v)
        splits = Splits.of(trees, fixed32, used, values)
        return (splits(x, new, self.width) / self.n_trees).clamp(min=1e-4).log()


@dataclass
class Boosting:
    """Gradient boosting."""

    n_stages: int = 20
    rate: float = 0.3
    depth: int = 3
    width: float = 0.3

    def __call__(self, x: Tensor, y: Tensor, new: Tensor, generator: torch.Generator) -> Tensor:
        from sklearn.ensemble import GradientBoostingClassifier

        fixed, labels = x.detach().numpy().astype(np.float32).astype(float), y.argmax(1).numpy()
        seed = int(torch.randint(2**31, (), generator=generator)) % 2**30
        m = GradientBoostingClassifier(
            n_estimators=self.n_stages,
            learning_rate=self.rate,
            max_depth=self.depth,
            random_state=seed,
        ).fit(fixed, labels)
        k = y.shape[1]
        trees, used, values = [], [], []
        for stage in m.estimators_:
            for c, t in enumerate(stage):
                v = np.zeros((t.tree_.node_count, k))
                if k == 2:
                    v[:, 1] = t.tree_.value[:, 0, 0]
                else:
                    v[:, c] = t.tree_.value[:, 0, 0]
                trees.append(t.tree_), used.append(np.arange(len(x))), values.append(v * self.rate)
        splits = Splits.of(trees, fixed, used, values)
        return splits(x, new, self.width)
