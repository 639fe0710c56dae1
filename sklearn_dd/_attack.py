"""Data poisoning with distilled data: an outer objective, and a report on its effect."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ._data import Array, class_indices, new_samples
from ._distilled import check_multiclass
from ._engine import classification
from ._guards import with_gradients


@dataclass(frozen=True)
class TargetedAttack:
    """An outer objective that makes students take the samples of one class for another.

    It is the cross-entropy after every label ``source`` is replaced by ``target``. Samples of all
    other classes should still be classified correctly. Use it to distil for pre-trained nets
    (``init=pool``) and few gradient steps: trained on the distilled data, such nets fail on one
    class.

    Parameters
    ----------
    source : label
        The attacked class, as in y.
    target : label
        The class that samples of ``source`` should be taken for, as in y.

    See Also
    --------
    attack_report : Scores nets before and after an attack.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959, section 4.4.

    Examples
    --------
    >>> import torch
    >>> from sklearn_dd import TargetedAttack
    >>> attack = TargetedAttack("cat", "dog").resolve(["bird", "cat", "dog"])
    >>> attack
    TargetedAttack(source=1, target=2)
    >>> logits = torch.tensor([[0.0, 0.0, 9.0]])  # a cat that is taken for a dog
    >>> attack(logits, torch.tensor([1])) < 0.01
    tensor(True)
    """

    source: Any
    target: Any

    def resolve(self, classes: Any) -> TargetedAttack:
        """Return the same attack with class indices in place of labels.

        A distiller calls this with its ``classes_``, as for every objective with this method.

        Parameters
        ----------
        classes : array-like of shape (n_classes,)
            Class labels, in the order of the logits.

        Returns
        -------
        TargetedAttack
            The attack whose ``source`` and ``target`` are indices into ``classes``.

        Raises
        ------
        ValueError
            If a label is not among the classes, or if both labels are the same.
        """
        known = np.asarray(classes).tolist()
        for name, label in vars(self).items():
            if label not in known:
                raise ValueError(
                    f"{name}={label!r} of TargetedAttack must be one of the classes of y, {known}."
                )
        if self.source == self.target:
            raise ValueError(
                f"source and target of TargetedAttack must differ, but both are {self.source!r}. "
                "Choose another target."
            )
        return TargetedAttack(known.index(self.source), known.index(self.target))

    def __call__(
        self,
        logits: Tensor,  # (batch, n_classes)
        y: Tensor,  # (batch,), class indices
    ) -> Tensor:
        """Return the loss on a batch, where ``source`` and ``target`` are class indices.

        Parameters
        ----------
        logits : Tensor of shape (batch, n_classes)
            Logits of one student.
        y : Tensor of shape (batch,)
            Class indices.

        Returns
        -------
        Tensor of shape ()
            The cross-entropy, mean over the batch.
        """
        return classification(logits, torch.where(y == self.source, self.target, y))


class AttackScores(NamedTuple):
    """Scores of nets on real samples when one class is attacked.

    Attributes
    ----------
    accuracy : ndarray of shape (n_inits,)
        Accuracy of each net.
    modified_accuracy : ndarray of shape (n_inits,)
        Accuracy after the attacked class is relabelled as the target: the aim of the attack.
    class_accuracy : ndarray of shape (n_inits, n_classes)
        Accuracy on each class, in the order of ``classes_``.
    called_target : ndarray of shape (n_inits,)
        Fraction of the attacked class that is taken for the target.

    See Also
    --------
    attack_report : Returns these scores.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, TargetedAttack, attack_report
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(max_iter=20, random_state=0).fit(X, y)
    >>> scores = attack_report(distiller, X, y, TargetedAttack(0, 1), n_inits=5).after
    >>> scores.accuracy.shape, scores.class_accuracy.shape
    ((5,), (5, 3))
    """

    accuracy: Array
    modified_accuracy: Array
    class_accuracy: Array
    called_target: Array


class AttackReport(NamedTuple):
    """Scores of nets before and after an attack.

    Attributes
    ----------
    before : AttackScores
        Scores of the nets from which students start.
    after : AttackScores
        Scores of the same nets after their gradient steps on the distilled data.

    See Also
    --------
    attack_report : Returns this report.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, TargetedAttack, attack_report
    >>> X, y = load_wine(return_X_y=True)
    >>> distiller = DatasetDistiller(max_iter=20, random_state=0).fit(X, y)
    >>> report = attack_report(distiller, X, y, TargetedAttack(0, 1), n_inits=5)
    >>> report.after.accuracy.mean() > report.before.accuracy.mean()
    np.True_
    """

    before: AttackScores
    after: AttackScores


@with_gradients
def attack_report(
    distiller: Any,
    X: Any,
    y: Any,
    attack: TargetedAttack | None = None,
    *,
    n_inits: int = 20,
    student: Any = None,
    init: Any = None,
    n_epochs: int | None = None,
    random_state: Any = None,
) -> AttackReport:
    """Score nets before and after their training on distilled data that attack one class.

    Parameters
    ----------
    distiller : DatasetDistiller
        A fitted distiller.
    X : array-like of shape (n_samples, n_features) or (n_samples, ...)
        Samples of every class that no fit has seen.
    y : array-like of shape (n_samples,)
        Class labels.
    attack : TargetedAttack or None, default=None
        The attacked class and its target. ``None`` takes the objective of the distiller.
    n_inits : int, default=20
        Number of nets, as in ``evaluate``.
    student : None, nn.Module class or NeuralNetClassifier, default=None
        Another architecture, as in ``evaluate``.
    init : None, {"random", "fixed"}, callable, list, dict or path-like, default=None
        Another weight prior, as in ``evaluate``. To attack unknown nets, pass a held-out pool.
    n_epochs : int or None, default=None
        Another number of distilled epochs, as in ``evaluate``.
    random_state : int, RandomState instance or None, default=None
        Seed that decides the nets, as in ``evaluate``.

    Returns
    -------
    AttackReport
        ``before`` and ``after``, each with ``accuracy``, ``modified_accuracy``, ``class_accuracy``
        and ``called_target`` for each net.

    See Also
    --------
    TargetedAttack : The objective to distil with.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959, section 4.4.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import DatasetDistiller, TargetedAttack, attack_report, train_pool
    >>> X, y = load_wine(return_X_y=True)
    >>> pool = train_pool(X, y, 4, random_state=0)
    >>> distiller = DatasetDistiller(
    ...     init=pool, n_epochs=1, objective=TargetedAttack(0, 1),
    ...     max_iter=100, random_state=0,
    ... ).fit(X, y)
    >>> before, after = attack_report(distiller, X, y)
    >>> before.called_target.mean() < 0.1, after.called_target.mean() > 0.9
    (np.True_, np.True_)
    """
    check_multiclass(distiller, "attack_report")
    attack = distiller.objective if attack is None else attack
    if not isinstance(attack, TargetedAttack):
        raise TypeError(
            "attack must be a TargetedAttack, or None if the distiller's objective is one, got "
            f"{attack!r}."
        )
    classes = distiller.classes_
    resolved = attack.resolve(classes)
    samples = new_samples(distiller, X)
    indices = class_indices(y, classes, len(samples))
    counts = np.bincount(indices, minlength=len(classes))
    if not counts.all():
        raise ValueError(
            f"y must hold every class, but has none of {classes[counts == 0].tolist()}."
        )
    data = distiller._distilled_data()
    training = data.training(n_inits, student, init, n_epochs, random_state, distiller.device)
    real = data.real_data(samples, indices, distiller.device)
    before, after = (
        _attack_scores(chosen.outputs(real), indices, resolved, counts)
        for chosen in (replace(training, lrs=training.lrs[:0]), training)
    )
    return AttackReport(before, after)


def _attack_scores(
    outputs: Tensor,  # (n_inits, n, n_classes)
    y: Array,  # (n,), class indices
    attack: TargetedAttack,  # on class indices
    counts: Array,  # (n_classes,), samples of each class
) -> AttackScores:
    # The argmax of NaN is class 0, but a diverged net must not count as predicting it.
    predicted = outputs.argmax(-1).where(outputs.isfinite().all(-1), -1).numpy()
    right = np.stack(
        [(predicted[:, y == c] == c).mean(axis=1) for c in range(len(counts))], axis=-1
    )
    called_target = (predicted[:, y == attack.source] == attack.target).mean(axis=1)
    weights = counts / counts.sum()
    accuracy = right @ weights
    gain = called_target - right[:, attack.source]
    return AttackScores(accuracy, accuracy + weights[attack.source] * gain, right, called_target)
