"""The distiller for multiclass and multilabel targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from .._data import Multiclass, RealSet, classification_data
from .base import BaseDistiller
from .parameters import DistillerParameters
from .result import FittedClassifier


@dataclass(eq=False, repr=False, match_args=False)
class DatasetDistiller(FittedClassifier, BaseDistiller, DistillerParameters):
    """Distil a data set into a few synthetic samples and the step sizes to train with.

    The samples, their step sizes and, if wanted, their labels are learned so that a student that
    takes ``n_epochs * n_steps`` gradient steps on them alone does well on the real set. The
    gradient goes back through all of the student's training and is exact.

    It is a transformer, whose ``transform`` returns the distilled data, and a classifier, which
    predicts with a student trained on them alone. Where y has several columns of 1 and 0, a sample
    may have several labels, each with a logit and a cross-entropy of its own.

    Parameters
    ----------
    n_per_class : int or dict, default=1
        Synthetic samples of each class, or with each of several labels; a dict gives each class its
        own number.
    n_steps : int, default=1
        Mini-batches that the synthetic samples are cut into, one for each gradient step of an
        epoch. It must divide ``n_per_class``.
    n_epochs : int, default=10
        Times that a student goes through the mini-batches. Each of the ``n_epochs * n_steps``
        gradient steps has a learned step size of its own.
    student : None, nn.Module class or NeuralNetClassifier, default=None
        The network that learns from the distilled data. ``None`` takes an ``MLP`` for flat samples,
        a ``LeNet`` for images of 28 × 28 or 32 × 32 pixels and a ``ConvNet`` for others. A class is
        built with ``sample_shape`` and ``n_classes`` if its constructor names them; it returns
        logits. Of an unfitted skorch net the module, its optimiser (SGD, with momentum or without,
        or Adam) and their parameters are used, which makes ``student__module__width`` a parameter
        to search.
    init : {"random", "fixed"}, callable, list, dict or path-like, default="random"
        The weights that students start from. ``"random"``: what the module's constructor draws,
        anew for each student. ``"fixed"``: one such draw, known and kept; far fewer samples and
        steps do, but for this one net alone. A callable changes a module in place, such as
        ``sklearn_dd.engine.priors.xavier_normal``. A list holds pre-trained nets, as state dicts or
        fitted skorch nets, of which students draw one; they see standardised samples. A
        ``pathlib.Path`` is a folder of such nets, as ``train_pool`` writes it, and a state dict one
        known net.
    objective : "classification" or callable, default="classification"
        What a trained student should do: cross-entropy on real samples, or a function
        ``(logits, y) -> scalar`` of a real batch, with ``y`` as indices into ``classes_``, or 1 and
        0 (n, n_labels).
    method : {"unrolled", "auto", "distribution", "gradient"}, callable or list of callables, \
            default="unrolled"
        How the gradient is computed. ``"unrolled"``: exactly, back through all steps. ``"auto"``
        spends the first half of the fit on ridge regressions in closed form, ``"distribution"`` and
        ``"gradient"`` on matching features or gradients; step sizes are then learned, and samples
        improved, by unrolling. Or an object such as
        ``sklearn_dd.engine.hypergradient.Unrolled(window=40)``, or a list of them, which follow one
        another and have equal shares of the fit. Several labels a sample are unrolled only.
    labels : {"hard", "soft", "free"}, default="hard"
        ``"hard"``: one class label for each sample, which stays. ``"soft"``: class probabilities,
        which are learned. ``"free"``: numbers of either sign, which are learned too and say more,
        since cross-entropy, −Σ y log p, takes any: each sample decides how far it moves each logit.
    data_init : {"noise", "real", "kmeans", "mean"} or array-like, default="kmeans"
        Where the synthetic samples start: standard normal noise, random real samples, cluster
        centres or class means, or an array in the units of X, ordered by step.
    augment : None, {"flip", "shift", "dsa"} or callable, default=None
        A random transformation of each outer iteration, of real and synthetic images alike. A
        callable takes images (n, channels, height, width) and a ``torch.Generator``, and treats all
        images alike; see ``sklearn_dd.engine.augmentation``.
    distill_lr : float, default=0.3
        Where the learned step sizes start.
    max_iter : int, default=2000
        Outer iterations.
    max_time : float or None, default=None
        Seconds for the outer loop. It ends after so many, or after ``max_iter`` iterations; the
        outer step sizes fall to 0 by then.
    outer_lr : float, default=0.05
        Step size of Adam in the outer loop, in standard deviations of X; it falls to 0 along a
        cosine.
    step_size_rate : float, default=0.2
        Rate at which the step sizes move, as a share of ``outer_lr``: as fast as the samples, they
        may creep up until training diverges; 0 holds them still.
    batch_size : int, default=256
        Real samples of each outer iteration; all of them, where there are fewer.
    n_inits : int, default=1
        Students that are trained in each outer iteration, from weights of their own. More of them
        take as much longer, for a gradient with less noise; several processes share them out.
    validation_fraction : float, default=0.1
        Share of each class that is held out of X, 2,000 samples at most, and of the nets of a pool,
        where that makes one or more. The iterate that does best on these samples with these nets is
        kept. With 0, or where no class has enough samples, the last one is.
    n_iter_no_change : int or None, default=None
        Stop when so many iterations have brought no better iterate. ``None`` goes on to the end.
    sample_shape : tuple of int or None, default=None
        Shape of one sample, such as (channels, height, width), where X comes flat.
    standardize : bool, default=True
        Learn in units of mean 0 and deviation 1, of each feature or, for images, each channel. A
        deviation counts as no less than a tenth of the range.
        What is returned is in the units of X all the same.
    device : str or torch.device, default="auto"
        Where to compute; ``"auto"`` takes CUDA, else MPS, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. A fit on the CPU is then reproducible to the bit.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 also a line for each validation.
    warm_start : bool, default=False
        Start from the result of the last fit.
    checkpoint : path-like or None, default=None
        A file that holds, from the first ``checkpoint_every`` iterations on, what
        ``fit(X, y, resume_from=...)`` needs to go on.
    checkpoint_every : int, default=100
        Outer iterations from one checkpoint to the next.

    Attributes
    ----------
    X_syn_ : ndarray of shape (n, n_features) or (n, ...)
        Synthetic samples in the units and the layout of X, ordered by step, class within step.
    y_syn_ : ndarray of shape (n,) or (n, n_classes)
        Their class labels; class probabilities with ``labels="soft"``, numbers with ``"free"``; 1
        and 0 where a sample may have several labels.
    lrs_ : ndarray of shape (n_epochs, n_steps)
        The step size of each gradient step.
    classes_ : ndarray of shape (n_classes,)
        Class labels; of several, their columns in y.
    n_features_in_ : int
        Values of one sample.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where X had string names.
    sample_shape_ : tuple of int
        Shape of one sample as the student sees it.
    n_iter_ : int
        Outer iterations that were run.
    history_ : dict of lists
        ``"loss"`` and ``"gradient_norm"`` of each iteration; ``"validation_iter"`` and
        ``"validation_score"``, the number of iterations done and the accuracy at each validation;
        for several labels or another objective, minus the mean of the objective.
    student_ : NeuralNetClassifier
        A skorch net that was trained on the distilled data alone; it takes samples in the units of
        X and predicts indices into ``classes_``, or 1 and 0 for each of several labels.
    recipe_ : Recipe
        What training a student needs beside the triple.
    seed_ : int
        The seed that ``random_state`` gave.

    See Also
    --------
    DistilledData : What ``transform`` returns.
    save_distilled : Writes the distilled data to a file.

    Notes
    -----
    Students run in evaluation mode, in the engine as in ``student_``: dropout is off. A module
    whose buffers training changes, as BatchNorm's running statistics, is refused.

    An outer iteration that is not finite is undone and the rates are halved; after five in a row
    the fit warns, ends and keeps its best iterate.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959. Learned labels:
    Sucholutsky and Schonlau (2019), Soft-label dataset distillation, arXiv:1910.02551.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_digits(return_X_y=True)
    >>> distiller = DatasetDistiller(n_per_class=1, max_iter=50, random_state=0).fit(X, y)
    >>> X_syn, y_syn, lrs = distiller.transform()
    >>> X_syn.shape, y_syn, lrs.shape
    ((10, 64), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]), (10, 1))
    >>> distiller.score(X, y) > 0.7
    True
    """

    n_per_class: int | Mapping[Any, int] = 1
    _: KW_ONLY
    objective: Any = "classification"
    labels: str = "hard"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DistillerParameters._parameter_constraints,
        "n_per_class": [Interval(Integral, 1, None, closed="left"), Mapping],
        "objective": [StrOptions({"classification"}), callable],
        "labels": [StrOptions(set(Multiclass.parametrisations))],
    }

    def _read(self, X: Any, y: Any) -> RealSet:
        return classification_data(self, X, y, self.n_per_class, self.n_steps)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
