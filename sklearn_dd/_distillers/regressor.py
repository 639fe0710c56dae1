"""The distiller for regression targets."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar

from sklearn.base import RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions

from .._data import Array, Continuous, RealSet, regression_data
from .base import BaseDistiller
from .cost import CostEstimator
from .parameters import DistillerParameters


@dataclass(eq=False, repr=False, match_args=False)
class DatasetDistillerRegressor(RegressorMixin, BaseDistiller, CostEstimator, DistillerParameters):
    """Distil a data set with a regression target into a few synthetic pairs and step sizes.

    The samples, their targets and the step sizes are learned. The goal is a student that does well
    on the real set after ``n_epochs * n_steps`` gradient steps on the synthetic samples alone. Its
    steps reduce the squared error. By default the gradient is exact: it goes back through all of
    the student's training.

    Parameters that are None or ``"auto"`` are left to the plan. It decides them from the data, the
    time limit and the seed, and never from test data. ``plan_`` lists them with reasons.

    A distiller is a transformer, whose ``transform`` returns the distilled data. It is also a
    regressor, which predicts with a student that was trained on the distilled data alone.

    Parameters
    ----------
    n_samples : int, default=10
        Number of synthetic samples.
    n_steps : int or None, default=None
        Number of mini-batches that the synthetic samples are divided into. A student takes one
        gradient step on each mini-batch per epoch. ``n_steps`` must divide ``n_samples``. ``None``:
        the plan decides. It takes 2 if ``n_samples`` is even, else 1.
    n_epochs : int or None, default=None
        Number of passes of a student over the mini-batches. Each of the ``n_epochs * n_steps``
        gradient steps has its own learned step size. ``None``: the plan decides, as for
        ``DatasetDistiller``.
    student : None, "any", nn.Module class, partial, estimator or list, default=None
        What learns from the distilled data, as in ``DatasetDistiller``. Models of scikit-learn are
        regressors; ``"any"`` stands for ridge regression, the nearest neighbour, a perceptron, a
        random forest and gradient boosting, fitted to standardised targets. A network must return
        one number for each sample. Its constructor is passed ``n_classes=1`` if it names
        ``n_classes``. A skorch net must keep its default criterion or use the squared error.
        ``None``: the plan decides. It takes an ``MLP`` as wide as the budget allows.
    init : {"random", "fixed"}, callable, list, dict, str or path-like, default="random"
        The weights that students start from, as in ``DatasetDistiller``. Known nets must have been
        trained to predict the standardised target.
    objective : "regression" or callable, default="regression"
        The outer loss of a trained student on a real batch. ``"regression"`` is the squared error.
        A callable ``(outputs, y) -> scalar`` is minimised in its place. Both arguments have shape
        (n, 1) and are standardised: y has mean 0 and standard deviation 1.
    method : {"auto", "unrolled", "ridge"}, Method or list, default="auto"
        How the hypergradient, the gradient of the outer loss, is computed.

        - ``"auto"``: the plan decides, as for ``DatasetDistiller``. It takes ``"unrolled"``, but
          ``[Ridge(), Unrolled(window=5)]`` for a convolutional student.
        - ``"unrolled"``: exactly, back through all gradient steps.
        - ``"ridge"``: the first half of the fit uses ridge regression in closed form. The second
          half unrolls, which learns the step sizes.
        - A method object, such as ``Unrolled(window=40)``, ``Clipped(...)`` or ``CudaGraph(...)``.
          Import them from ``sklearn_dd``.
        - A list of methods. They follow one another, with equal shares of the fit. Unrolling is not
          added to a list automatically.
    labels : {"auto", "free", "hard"}, default="auto"
        Whether the targets of the synthetic samples are learned (``"free"``) or keep their initial
        values (``"hard"``). ``"auto"``: the plan decides. It takes ``"free"``.
    data_init : str or array-like, default="auto"
        Where the synthetic samples and their targets start.

        - ``"auto"``: the plan decides. It takes the one of the next five from which students learn
          best on held-out samples. If the fit finds nothing better there, it returns the best pair
          of a start and a step size.
        - ``"kmeans"`` and ``"mean"``: k-means centres, or means of random halves, of samples and
          targets together.
        - ``"real"``: random real samples with their targets.
        - ``"herding"``, ``"kcenters"`` and ``"medoids"``: real samples with their targets, that
          ``Herding``, ``KCenters`` and ``Medoids`` choose. ``"auto"`` tries medoids for models
          alone.
        - ``"noise"``: standard normal noise, with the targets of random real samples.
        - An array sets the samples directly, in the units of X and ordered by step. Each gets the
          target of the closest of up to 2,000 real samples.
    augment : None, {"flip", "shift", "dsa"} or callable, default=None
        A random transformation of images in each outer iteration, as in ``DatasetDistiller``.
    training_loop : {"learned", "any"}, default="learned"
        The training that the synthetic samples are made for: the learned schedule alone, or
        ordinary loops too, as in ``DatasetDistiller``.
    distill_lr : float or None, default=None
        Initial value of the learned step sizes. ``None``: the plan decides. It takes 0.3, or the
        longest step below with which students still learn at least half as much as with the best.
        With Adam, or for 200 iterations or fewer, it takes the best of a few values.
    max_iter : int or None, default=None
        Largest number of outer iterations, which are gradient steps on the synthetic samples.
        ``None`` sets no limit.
    max_time : float or None, default=None
        Time limit of the fit in seconds, planning included. The fit ends when it is reached or
        after ``max_iter`` iterations, whichever comes first. Without either limit, it ends when
        nothing gets better.
    outer_lr : float or None, default=None
        Outer learning rate: the step size of Adam for samples and targets, in standard deviations
        of X and y. It is constant in the search, and falls to 0 along a cosine in the finish.
        ``None``: the plan decides. It takes 0.05, or 0.02 for a
        convolutional student whose ``method`` is left open.
    step_size_rate : float or None, default=None
        Outer learning rate of the step sizes, as a fraction of ``outer_lr``. If it is too large,
        step sizes may grow until training diverges. With 0 they stay at ``distill_lr``. ``None``:
        the plan decides. It takes a value at which step sizes do not outrun the samples.
    batch_size : int or None, default=None
        Number of real samples in each outer iteration. A smaller set is used as a whole. ``None``:
        the plan decides. It takes 256.
    n_inits : int or None, default=None
        Number of students that are trained in each outer iteration, each from its own initial
        weights. More students give a less noisy gradient and take proportionally longer.
        Several processes can share them. ``None``: the plan decides. It takes 1.
    random_share : float or None, default=None
        Share of the students of the outer iterations that start from random weights of the module,
        in place of the nets that ``init`` names. They keep a set that is made for one known net
        from fitting a few real samples too well. ``None``: the plan decides. It takes 0.5 if
        ``init="fixed"`` and real samples are few, else 0.
    validation_fraction : float, default=0.1
        Fraction of X that is held out of the search, 2,000 samples at most. If ``init`` is a pool
        that is large enough, the same fraction of its nets is held out. Held-out students are
        scored on the held-out samples, which decides when the search ends and which iterate it
        keeps. In the finish, the held-out samples are learned from too. With 0, or if X is too
        small to hold out a sample, the last iterate is kept.
    n_iter_no_change : int or None, default=None
        End the search when its held-out loss has not fallen by 2 % for this number of outer
        iterations. The finish then has at most as many iterations as led to the iterate that is
        kept. ``None``: a search under a limit uses half of the limit, and one without waits for 150
        iterations, or for 0.4 of the iterations so far if these are more.
    sample_shape : tuple of int or None, default=None
        Shape of one sample, such as (channels, height, width), if X is flat.
    standardize : bool, default=True
        Learn in units of mean 0 and standard deviation 1, for each feature or, for images, each
        channel. If a standard deviation is less than a tenth of the range, a tenth of the range is
        used instead. The target is always standardised. Results are returned in the units of X and
        y.
    device : str or torch.device, default="auto"
        Device to compute on. ``"auto"`` takes CUDA, else MPS, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws. With an int and without ``max_time``, a fit on the CPU is reproducible to
        the bit.
    verbose : int, default=0
        0 is silent, 1 shows the plan, a progress bar and why the fit ended, 2 adds a line for each
        validation and a count of traced steps.
    warm_start : bool, default=False
        Start from the result of the last fit.
    checkpoint : path-like or None, default=None
        File to write checkpoints to. ``fit(X, y, resume_from=...)`` continues from such a file.
    checkpoint_every : int, default=100
        Number of outer iterations between checkpoints.

    Attributes
    ----------
    X_syn_ : ndarray of shape (n_samples, n_features) or (n_samples, ...), or DataFrame
        Synthetic samples in the units and the layout of X, ordered by step.
    y_syn_ : ndarray of shape (n_samples,)
        Targets of the synthetic samples, in the units of y.
    lrs_ : ndarray of shape (n_epochs, n_steps)
        Step size of each gradient step; (0, n_steps) if no student takes gradient steps.
    plan_ : Plan
        The parameters that may be left to the plan, with the values that the fit took and the
        reasons. A mapping, which can be printed, changed, and passed back as parameters.
    n_features_in_ : int
        Number of values in one sample.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X has string names.
    sample_shape_ : tuple of int
        Shape of one sample as the student sees it.
    n_iter_ : int
        Number of outer iterations that were run.
    stop_reason_ : str
        Why the fit ended, as in ``DatasetDistiller``.
    history_ : dict of lists
        As in ``DatasetDistiller``. The validation score is R² or, for another objective, minus the
        mean objective.
    gains_ : ndarray of shape (n_students,) or None
        Where scikit-learn models learn, by how much the R² of each student on training samples is
        higher than after learning from the start that teaches it best. None for networks alone.
    fit_time_ : float
        Seconds that the fit took.
    student_ : NeuralNetRegressor or TransformedTargetRegressor
        A skorch net that was trained on the distilled data alone, or a scikit-learn model. Of
        several students, the first. It takes samples in the units of
        X and predicts in the units of y.
    acceleration_ : dict
        How the students' gradient steps were taken. ``"traced_steps"`` counts steps that repeated a
        trace, ``"autograd_steps"`` those of PyTorch's autograd. ``"refusals"`` lists why steps were
        not traced. The environment variable ``SKLEARN_DD_ACCELERATE=0`` turns acceleration off;
        ``"autograd_steps"`` is then None.
    recipe_ : Recipe
        What is needed, besides samples, targets and step sizes, to train a student.
    seed_ : int
        The seed that was drawn from ``random_state``.

    See Also
    --------
    DatasetDistiller : Distils data with a multiclass or multilabel target.
    DistilledData : What ``transform`` returns.
    Plan : What ``plan_`` holds.
    save_distilled : Writes the distilled data to a file.

    Notes
    -----
    For a linear student that starts from random weights, theory gives the number of samples that
    are needed for one gradient step: as many as the student has weights. Each sample makes the
    student forget its initial weights in one direction only, so fewer samples do not suffice.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959, section 3.2.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn_dd import DatasetDistillerRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> distiller = DatasetDistillerRegressor(n_samples=5, max_iter=100, random_state=0).fit(X, y)
    >>> X_syn, y_syn, lrs = distiller.transform()
    >>> X_syn.shape, y_syn.shape
    ((5, 10), (5,))
    >>> distiller.score(X, y) > 0.4
    True
    """

    n_samples: int = 10
    _: KW_ONLY
    objective: Any = "regression"
    labels: str = "auto"

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DistillerParameters._parameter_constraints,
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "objective": [StrOptions({"regression"}), callable],
        "labels": [StrOptions({"auto", *Continuous.parametrisations})],
    }

    def _read(self, X: Any, y: Any, sample_weight: Any, n_steps: int) -> RealSet:
        return regression_data(self, X, y, self.n_samples, n_steps, sample_weight)

    def predict(self, X: Any) -> Array:
        """Predict with a student that was trained on the distilled data alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Predictions in the units of y.
        """
        return self._predicted(X)
