"""The distiller for regression targets."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from numbers import Integral
from typing import Any, ClassVar

from sklearn.base import RegressorMixin
from sklearn.utils._param_validation import Interval, StrOptions

from .._data import Array, Continuous, RealSet, regression_data
from .base import BaseDistiller
from .parameters import DistillerParameters


@dataclass(eq=False, repr=False, match_args=False)
class DatasetDistillerRegressor(RegressorMixin, BaseDistiller, DistillerParameters):
    """Distil a data set with a real-valued target into a few synthetic pairs and step sizes.

    The samples, their targets and their step sizes are learned so that a student that takes
    ``n_epochs * n_steps`` gradient steps on them alone, for the squared error, does well on the
    real set. The gradient goes back through all of the student's training and is exact.

    It is a transformer, whose ``transform`` returns the distilled data, and a regressor, which
    predicts with a student trained on them alone.

    Parameters
    ----------
    n_samples : int, default=10
        Synthetic samples.
    n_steps : int, default=1
        Mini-batches that they are cut into, one for each gradient step of an epoch. It must divide
        ``n_samples``.
    n_epochs : int, default=10
        Times that a student goes through the mini-batches. Each of the ``n_epochs * n_steps``
        gradient steps has a learned step size of its own.
    student : None, nn.Module class or NeuralNetRegressor, default=None
        The network that learns from the distilled data, as in ``DatasetDistiller``; it is built
        with ``n_classes=1`` if its constructor names that, and returns one number a sample.
    init : {"random", "fixed"}, callable, list, dict or path-like, default="random"
        The weights that students start from, as in ``DatasetDistiller``. The outputs of known nets
        are taken as standardised numbers.
    objective : "regression" or callable, default="regression"
        What a trained student should do: the squared error on real samples, or a function
        ``(outputs, y) -> scalar`` of a real batch, both (n, 1) and standardised: without the mean
        of y, in units of its deviation.
    method : "unrolled" or Unrolled, default="unrolled"
        How the gradient is computed: exactly, back through all steps, or an object such as
        ``sklearn_dd.engine.hypergradient.Unrolled(window=40)``.
    learn_targets : bool, default=True
        Whether the targets of the synthetic samples are learned too.
    data_init : {"noise", "real", "kmeans", "mean"} or array-like, default="real"
        Where the synthetic samples start: standard normal noise, random real samples, centres of
        clusters or means of samples and targets together, or an array in the units of X, ordered
        by step, whose targets are those of the closest of 2,000 real samples.
    augment : None, {"flip", "shift", "dsa"} or callable, default=None
        A random transformation of each outer iteration, as in ``DatasetDistiller``.
    distill_lr : float, default=0.03
        Where the learned step sizes start.
    max_iter : int, default=1000
        Outer iterations.
    max_time : float or None, default=None
        Seconds after which a fit ends, even before ``max_iter``.
    outer_lr : float, default=0.05
        Step size of Adam in the outer loop, in standard deviations of X and y; it falls to 0 along
        a cosine.
    step_size_rate : float, default=0.2
        Rate at which the step sizes move, as a share of ``outer_lr``.
    batch_size : int, default=256
        Real samples of each outer iteration; all of them, where there are fewer.
    n_inits : int, default=4
        Students that are trained in each outer iteration, from weights of their own.
    validation_fraction : float, default=0.1
        Share of X that is held out, 2,000 samples at most. The iterate whose students have the
        highest R² on it is kept. With 0, or fewer than ten samples, the last one is.
    n_iter_no_change : int or None, default=None
        Stop when so many iterations have brought no better iterate. ``None`` goes on to the end.
    sample_shape : tuple of int or None, default=None
        Shape of one sample, such as (channels, height, width), where X comes flat.
    standardize : bool, default=True
        Learn in units of mean 0 and deviation 1, of each feature or, for images, each channel. The
        targets always are.
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
    X_syn_ : ndarray of shape (n_samples, n_features) or (n_samples, ...)
        Synthetic samples in the units and the layout of X, ordered by step.
    y_syn_ : ndarray of shape (n_samples,)
        Their targets, in the units of y.
    lrs_ : ndarray of shape (n_epochs, n_steps)
        The step size of each gradient step.
    n_features_in_ : int
        Values of one sample.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, where X had string names.
    sample_shape_ : tuple of int
        Shape of one sample as the student sees it.
    n_iter_ : int
        Outer iterations that were run.
    history_ : dict of lists
        As in ``DatasetDistiller``; the validation score is R², for another objective minus its
        mean.
    student_ : NeuralNetRegressor
        A skorch net that was trained on the distilled data alone; it takes samples in the units of
        X and predicts in those of y.
    recipe_ : Recipe
        What training a student needs beside the triple.
    seed_ : int
        The seed that ``random_state`` gave.

    See Also
    --------
    DatasetDistiller : The same for classes.
    DistilledData : What ``transform`` returns.

    Notes
    -----
    Where the student is linear and starts from random weights, the theory says what can succeed:
    in one step, as many samples as there are weights suffice, and fewer do not, for each sample
    makes the student forget one direction of its start.

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
    >>> X_syn.shape, y_syn.shape, lrs.shape
    ((5, 10), (5,), (10, 1))
    >>> distiller.score(X, y) > 0.4
    True
    """

    n_samples: int = 10
    _: KW_ONLY
    objective: Any = "regression"
    labels: str = "free"
    data_init: Any = "real"
    distill_lr: float = 0.03
    max_iter: int = 1000
    n_inits: int = 4

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DistillerParameters._parameter_constraints,
        "n_samples": [Interval(Integral, 1, None, closed="left")],
        "objective": [StrOptions({"regression"}), callable],
        "labels": [StrOptions(set(Continuous.parametrisations))],
    }

    def _read(self, X: Any, y: Any) -> RealSet:
        return regression_data(self, X, y, self.n_samples, self.n_steps)

    def predict(self, X: Any) -> Array:
        """Predict with a student that was trained on the distilled data alone.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Numbers in the units of y.
        """
        return self.recipe_.targets.predictions(self._outputs(X))
