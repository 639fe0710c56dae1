"""What a distilled set has to beat: small sets that are chosen, not learned.

A baseline is a distiller whose samples hold still. It chooses them and a step size on training
data; what follows, from schedules to students, scores and files, is the distiller's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
import torch
from sklearn.base import _fit_context
from sklearn.utils import check_random_state
from sklearn.utils._param_validation import Interval, StrOptions

from .data import Array, RealData, Standardize, as_tensor, resolve_device, student_shape
from .distilled import DistilledData, Recipe, describe
from .distiller import DatasetDistiller
from .engine.hypergradient import Hypergradient, Task, Unrolled
from .engine.inner_loop import schedule
from .engine.priors import distinct, draw
from .engine.seeds import Stream
from .evaluation import train_and_score
from .start import cluster_centers
from .student import learner
from .validation import all_or_nothing, samples_per_step, training_set

_MAX_ROWS = 2000  # training samples that step sizes and sets are compared on
_N_NETS = 8  # nets that they are compared with
_BATCH = 512  # samples that are scored at one time
_MAX_VALUES = 1 << 25  # values of one class that are chosen from
_SHARED = (
    "n_per_class", "n_steps", "n_epochs", "student", "init", "max_iter", "batch_size", "n_inits",
    "sample_shape", "standardize", "device", "random_state", "verbose",
)  # fmt: skip


def _step_sizes_alone(task: Task) -> Hypergradient:
    """The exact hypergradient of the step sizes; samples and labels stay as they are."""
    exact = Unrolled()(task)
    return task.no_gradient()._replace(loss=exact.loss, lrs=exact.lrs)


class Baseline(DatasetDistiller):
    """Base of the baselines, which differ in how they choose the samples of a class.

    Parameters
    ----------
    n_per_class : int or dict, default=1
        Samples of each class; a dict gives each class its own number. A class that has fewer
        repeats them.
    n_steps : int, default=1
        Mini-batches that the samples are cut into. It must divide ``n_per_class``.
    n_epochs : int, default=10
        Times that a student goes through the mini-batches.
    schedule : {"fixed", "learned"}, default="fixed"
        ``"fixed"``: the best of ``step_sizes`` for all steps. ``"learned"``: a step size of its own
        for each, learned from there as a distiller learns them.
    step_sizes : sequence of float, default=(0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
        Step sizes to choose from. The choice is by the accuracy, on up to 2,000 training samples,
        of 8 nets that no evaluation draws; of a pool, of 8 of its nets, and of one known net, that.
    n_sets : int, default=1
        Sets to choose from in the same way, where the choice of samples is random.
    student : None, nn.Module class or NeuralNetClassifier, default=None
        The network that learns from the samples, as in ``DatasetDistiller``.
    init : {"random", "fixed"}, callable, list, dict or path-like, default="random"
        The weights that students start from, as in ``DatasetDistiller``. With ``"fixed"`` a
        baseline and a distiller of the same int ``random_state`` know the same net.
    max_iter : int, default=200
        Outer iterations of a learned schedule.
    batch_size : int, default=256
        Real samples of each of them.
    n_inits : int, default=4
        Students of each of them.
    sample_shape : tuple of int or None, default=None
        Shape of one sample, such as (channels, height, width), where X comes flat.
    standardize : bool, default=True
        Choose and train in units of mean 0 and deviation 1.
    device : str or torch.device, default="auto"
        Where to compute; ``"auto"`` takes CUDA, else MPS, else the CPU.
    random_state : int, RandomState instance or None, default=None
        Seed of all draws.
    verbose : int, default=0
        0 is silent, 1 shows the progress of a learned schedule, 2 also its validations.

    See Also
    --------
    DatasetDistiller : Learns samples; its methods and fitted attributes are those of a baseline.

    Notes
    -----
    Of large samples not all are looked at: so many of a class, drawn at random, as hold 33 million
    values, or as are wanted. Of images of 224 × 224 × 3 these are 222.
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **{name: DatasetDistiller._parameter_constraints[name] for name in _SHARED},
        "schedule": [StrOptions({"fixed", "learned"})],
        "step_sizes": ["array-like"],
        "n_sets": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        n_per_class: Any = 1,
        *,
        n_steps: int = 1,
        n_epochs: int = 10,
        schedule: str = "fixed",
        step_sizes: Sequence[float] = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
        n_sets: int = 1,
        student: Any = None,
        init: Any = "random",
        max_iter: int = 200,
        batch_size: int = 256,
        n_inits: int = 4,
        sample_shape: tuple[int, ...] | None = None,
        standardize: bool = True,
        device: str | torch.device = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            n_per_class, n_steps=n_steps, n_epochs=n_epochs, student=student, init=init,
            max_iter=max_iter, batch_size=batch_size, n_inits=n_inits, sample_shape=sample_shape,
            standardize=standardize, device=device, random_state=random_state, verbose=verbose,
        )  # fmt: skip
        self.schedule = schedule
        self.step_sizes = step_sizes
        self.n_sets = n_sets

    @_fit_context(prefer_skip_nested_validation=False)
    @all_or_nothing
    def fit(self, X: Any, y: Any) -> Baseline:
        """Choose samples and step sizes.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features) or (n_samples, ...)
            Real samples, as ``DatasetDistiller.fit`` takes them.
        y : array-like of shape (n_samples,)
            Class labels.

        Returns
        -------
        Baseline
            The fitted baseline.
        """
        step_sizes = self._checked_step_sizes()
        flat, indices, classes, input_shape = training_set(self, X, y)
        counts = samples_per_step(self.n_per_class, self.n_steps, classes)
        seed = self.random_state
        if not isinstance(seed, Integral):
            seed = check_random_state(seed).randint(2**31)
        rng = np.random.default_rng(int(seed))
        standardize = Standardize(input_shape, student_shape(input_shape, self.sample_shape))
        if self.standardize:
            standardize = Standardize.fit(flat, input_shape, standardize.sample_shape)
        sets = [self._choose(flat, indices, counts, standardize, rng) for _ in range(self.n_sets)]
        rows = _share_of_each_class(indices, _MAX_ROWS, rng)
        device = resolve_device(self.device)
        seen = RealData(flat, indices, rows, standardize, _BATCH, device)

        first = self._still(sets[0], step_sizes[0], int(seed)).fit(X, y)
        score = _judge(first.recipe_, first.y_syn_, first.lrs_.shape, seen, int(seed))
        step_size = _best(step_sizes, lambda size: score(sets[0], size))
        samples = _best(sets, lambda chosen: score(chosen, step_size))
        distiller = self._still(samples, step_size, int(seed))
        if self.schedule == "learned":
            names = ("max_iter", "n_inits", "validation_fraction", "verbose")
            learning = {name: getattr(self, name) for name in names}
            distiller.set_params(method=_step_sizes_alone, **learning)
        self._adopt(distiller.fit(X, y))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = False
        return tags

    def _adopt(self, distiller: DatasetDistiller) -> None:
        """Take over all that ``distiller`` has fitted."""
        for name, value in vars(distiller).items():
            if name.endswith("_"):
                setattr(self, name, value)
        parameters = describe(self.get_params(deep=False))
        self.recipe_.description |= {"baseline": type(self).__name__, "parameters": parameters}

    def _checked_step_sizes(self) -> list[float]:
        sizes = np.asarray(self.step_sizes)
        numbers = sizes.dtype.kind in "iuf" and sizes.ndim == 1 and sizes.size
        if not numbers or not (np.isfinite(sizes) & (sizes > 0)).all():
            raise ValueError(
                f"step_sizes must be a sequence of positive numbers, got {self.step_sizes!r}. "
                "Give one to use it, or several to choose from."
            )
        return sizes.tolist()

    def _still(self, samples: Array, step_size: float, seed: int) -> DatasetDistiller:
        """A distiller that starts at ``samples`` and ``step_size`` and stays there."""
        own = {name: getattr(self, name) for name in DatasetDistiller().get_params(deep=False)}
        start = {"data_init": samples, "distill_lr": step_size, "random_state": seed}
        stay = {"method": Task.no_gradient, "max_iter": 1, "n_inits": 1, "validation_fraction": 0}
        return DatasetDistiller(**(own | start | stay | {"verbose": 0}))

    def _choose(
        self,
        X: Array,  # (n, n_features)
        y: Array,  # (n,), class indices
        counts: Array,  # (n_classes,), samples of each class in one mini-batch
        standardize: Standardize,
        rng: np.random.Generator,
    ) -> Array:
        """Samples (n, *input_shape) in the units of X, ordered by step, class within step."""
        by_class = []
        for c, count in enumerate(counts):
            wanted = self.n_steps * count
            looked_at = max(wanted, _MAX_VALUES // X.shape[1])
            members = rng.permutation(np.flatnonzero(y == c))[:looked_at]
            z = standardize(as_tensor(X[members])).flatten(1).numpy()
            picked = self._pick(z, min(wanted, len(z)), rng)
            picked = np.resize(picked, (wanted, z.shape[1])).astype(np.float32)
            by_class.append(picked.reshape(self.n_steps, count, -1))
        chosen = torch.from_numpy(np.concatenate(by_class, axis=1))
        return standardize.inverse(chosen.reshape(-1, *standardize.sample_shape)).numpy()

    def _pick(self, z: Array, wanted: int, rng: np.random.Generator) -> Array:
        """``wanted`` samples (or fewer, to be repeated) for the class ``z`` (n, n_values).

        ``z`` is standardised, in random order, and has no fewer samples than are wanted.
        """
        raise NotImplementedError


class RandomSamples(Baseline):
    """Random real samples of each class; with ``n_sets=20`` the best of 20 such sets.

    Parameters are those of `Baseline`.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959: random and
    optimised real images.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import RandomSamples
    >>> X, y = load_wine(return_X_y=True)
    >>> baseline = RandomSamples(n_per_class=2, random_state=0).fit(X, y)
    >>> X_real, y_real, lrs = baseline.transform()
    >>> X_real.shape, y_real
    ((6, 13), array([0, 0, 1, 1, 2, 2]))
    >>> baseline.evaluate(X, y, n_inits=5).mean > 0.7
    True
    """

    def _pick(self, z: Array, wanted: int, rng: np.random.Generator) -> Array:
        return z[:wanted]


class ClassMeans(Baseline):
    """The mean of each class, repeated where more than one sample is wanted.

    Parameters are those of `Baseline`.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959: average real
    images.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import ClassMeans
    >>> X, y = load_wine(return_X_y=True)
    >>> means = ClassMeans(random_state=0).fit_transform(X, y).X
    >>> np.allclose(means[0], X[y == 0].mean(axis=0), rtol=1e-4)
    True
    """

    def _pick(self, z: Array, wanted: int, rng: np.random.Generator) -> Array:
        return z.mean(axis=0, keepdims=True)


class KMeansCenters(Baseline):
    """The centres of each class's clusters.

    Parameters are those of `Baseline`.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959. Arthur and
    Vassilvitskii (2007), k-means++: the advantages of careful seeding.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import KMeansCenters
    >>> X, y = load_wine(return_X_y=True)
    >>> KMeansCenters(n_per_class=3, random_state=0).fit_transform(X, y).X.shape
    (9, 13)
    """

    def _pick(self, z: Array, wanted: int, rng: np.random.Generator) -> Array:
        return cluster_centers(z, wanted, rng)


class KCenters(Baseline):
    """Real samples of each class, each the farthest from those before it.

    The first is the one closest to the mean.

    Parameters are those of `Baseline`.

    References
    ----------
    Gonzalez (1985), Clustering to minimize the maximum intercluster distance. Sener and Savarese
    (2018), Active learning for convolutional neural networks: a core-set approach,
    arXiv:1708.00489, who measure distance in a net's features; here it is that of the samples.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import KCenters
    >>> X, y = load_wine(return_X_y=True)
    >>> KCenters(n_per_class=3, random_state=0).fit_transform(X, y).X.shape
    (9, 13)
    """

    def _pick(self, z: Array, wanted: int, rng: np.random.Generator) -> Array:
        picked = [int(_squared_distances(z, z.mean(axis=0)).argmin())]
        nearest = _squared_distances(z, z[picked[0]])
        while len(picked) < wanted:
            picked.append(int(nearest.argmax()))
            nearest = np.minimum(nearest, _squared_distances(z, z[picked[-1]]))
        return z[picked]


class Herding(Baseline):
    """Real samples of each class, each the one that brings their mean closest to the class's.

    Parameters are those of `Baseline`.

    References
    ----------
    Welling (2009), Herding dynamical weights to learn. Rebuffi, Kolesnikov, Sperl and Lampert
    (2017), iCaRL, arXiv:1611.07725, who take the means of a net's features; here they are those of
    the samples.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import Herding
    >>> X, y = load_wine(return_X_y=True)
    >>> Herding(n_per_class=3, random_state=0).fit_transform(X, y).X.shape
    (9, 13)
    """

    def _pick(self, z: Array, wanted: int, rng: np.random.Generator) -> Array:
        mean, picked = z.mean(axis=0), list[int]()
        for n in range(1, wanted + 1):
            distances = _squared_distances(z, n * mean - z[picked].sum(axis=0))
            distances[picked] = np.inf
            picked.append(int(distances.argmin()))
        return z[picked]


def _judge(
    recipe: Recipe, y: Array, shape: tuple[int, ...], real: RealData, seed: int
) -> Callable[[Array, float], float]:
    """(samples, step size) -> mean accuracy on ``real`` of nets that no evaluation draws."""
    network = recipe.network()
    prior = recipe.prior(network, seed)
    judges = distinct(prior, _N_NETS)
    nets = draw(prior, judges, seed, Stream.HELD_OUT, device=real.device)
    pupil = learner(network, real.device)

    def score(samples: Array, step_size: float) -> float:
        data = DistilledData(samples, y, np.full(shape, step_size), recipe)
        steps = schedule(*(tensor.to(real.device) for tensor in data.as_tensors()))
        return float(train_and_score(pupil, nets, steps, real).mean())

    return score


def _best(choices: list[Any], score: Callable[[Any], float]) -> Any:
    """The choice of the highest score; where there is but one, it needs none."""
    return max(choices, key=score) if len(choices) > 1 else choices[0]


def _squared_distances(z: Array, point: Array) -> Array:
    """Of each row of ``z``."""
    return np.square(z - point).sum(axis=1)


def _share_of_each_class(y: Array, n_rows: int, rng: np.random.Generator) -> Array:
    """About ``n_rows`` rows, the same share of every class, at least one of each; sorted."""
    share = min(1.0, n_rows / len(y))
    by_class = (rng.permutation(np.flatnonzero(y == c)) for c in np.unique(y))
    return np.sort(np.concatenate([rows[: int(np.ceil(share * len(rows)))] for rows in by_class]))
