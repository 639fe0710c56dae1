"""The distiller for multiclass and multilabel targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar

from sklearn.utils._param_validation import Interval, StrOptions

from .._data import Multiclass, RealSet, classification_data
from .base import BaseDistiller
from .cost import CostEstimator
from .parameters import DistillerParameters
from .result import FittedClassifier


@dataclass(eq=False, repr=False, match_args=False)
class DatasetDistiller(FittedClassifier, BaseDistiller, CostEstimator, DistillerParameters):
    """Distil a data set into a few synthetic samples and the step sizes to train with.

    The samples, the step sizes and, optionally, the labels are learned. The goal is a student that
    does well on the real set after ``n_epochs * n_steps`` gradient steps on the synthetic samples
    alone. By default the gradient is exact: it goes back through all of the student's training.

    Parameters that are None or ``"auto"`` are left to the plan. It decides them from the data, the
    time limit and the seed, and never from test data. ``plan_`` lists them with reasons.

    A distiller is a transformer, whose ``transform`` returns the distilled data. It is also a
    classifier, which predicts with a student that was trained on the distilled data alone.

    The target y is multiclass or multilabel. A multilabel y has a column of 1 and 0 for each label.
    Each label then has its own logit and its own cross-entropy.

    Parameters
    ----------
    n_per_class : int, dict or "auto", default=1
        Number of synthetic samples of each class, or of each label. A dict gives each class its own
        number; it names labels by their columns in y. ``"auto"`` divides ``n_samples`` over the
        classes of a multiclass y: large, heavy and diverse classes get more. Each sample goes to
        the class whose weighted k-means error falls the most.
    n_steps : int or None, default=None
        Number of mini-batches that the synthetic samples are divided into. A student takes one
        gradient step on each mini-batch per epoch. ``n_steps`` must divide ``n_per_class``.
        ``None``: the plan decides. It takes 2 if the number of samples of each class is even, else
        1.
    n_epochs : int or None, default=None
        Number of passes of a student over the mini-batches. Each of the ``n_epochs * n_steps``
        gradient steps has its own learned step size. ``None``: the plan decides. It takes fewer
        for one known net, and more for a convolutional student whose method is left to the plan.
    student : None, "any", nn.Module class, partial, estimator or list, default=None
        What learns from the distilled data: a network, a model of scikit-learn, or several.

        - ``None``: the plan decides. It takes an ``MLP``, the widest of several for which the
          budget suffices. The budget is ``max_time``, or a minute without it.
        - A class must build a module that returns logits. Its constructor is passed
          ``sample_shape`` and ``n_classes`` if it names them.
        - A ``functools.partial`` of a class sets further arguments, as in
          ``partial(MLP, width=512)``.
        - An unfitted skorch net supplies the module, the optimiser (SGD, with or without momentum,
          or Adam) and their parameters. A grid search can thus set ``student__module__width``. The
          distilled schedule replaces ``lr``, ``max_epochs``, ``batch_size`` and ``train_split``.
          Callbacks, weight decay and criteria other than the default or the (for a multilabel y,
          binary) cross-entropy are refused.
        - An unfitted scikit-learn classifier, with its own parameters: linear models, support
          vector machines, nearest neighbours and centroids, Gaussian naive Bayes,
          ``MLPClassifier``, trees, forests, and boosting. A differentiable counterpart stands for
          it in the fit. ``student_`` is the model itself, fitted to the distilled data.
        - A list of students, for all of which one set is learned. The mean of their losses is
          minimised, each as a share of its loss after learning from the start that teaches it best.
          ``gains_`` says who gained. ``student_`` is the first.
        - ``"any"``: logistic regression, the nearest neighbour, a support vector machine, a
          perceptron, a random forest and gradient boosting.
    init : {"random", "fixed"}, callable, list, dict, str or path-like, default="random"
        The weights that students start from.

        - ``"random"``: new weights for each student, as the module's constructor draws them.
        - ``"fixed"``: one such draw, which is stored with the distilled data. Far fewer samples and
          steps are enough, but the data serve only this one net.
        - A callable initialises a module in place. Examples are ``xavier_normal`` and
          ``pytorch_default``.
        - A list is a pool of pre-trained nets, as state dicts or fitted skorch nets. Each student
          starts from one of them. The nets must have been trained on samples in the units that
          result from ``standardize``.
        - A dict is the state dict of a single known net.
        - Any other str, or a path, is a folder with a pool, as ``train_pool`` writes it.
    objective : "classification" or callable, default="classification"
        The outer loss of a trained student on a real batch. ``"classification"`` is the
        cross-entropy. A callable ``(logits, y) -> scalar`` is minimised in its place. Its ``y``
        holds indices into ``classes_`` or, for a multilabel y, 1 and 0 of shape (n, n_labels). An
        object with a method ``resolve(classes)``, such as ``TargetedAttack``, is for a multiclass y
        only. The method is called with the class labels, and the callable that it returns is
        minimised.
    method : str, Method or list, default="auto"
        How the hypergradient, the gradient of the outer loss, is computed.

        - ``"auto"``: the plan decides. It takes ``"unrolled"``. For a convolutional student that
          starts from random weights, it takes ``[Ridge(), Unrolled(window=5)]``, and Adam as the
          student's optimiser.
        - ``"unrolled"``: exactly, back through all gradient steps.
        - ``"ridge"``, ``"distribution"`` and ``"gradient"``: by ridge regression in closed form, by
          matching mean features, or by matching gradients. They are used in the first half of the
          fit. The second half unrolls, which learns the step sizes and improves the samples.
        - A method object, such as ``Unrolled(window=40)``; import it from ``sklearn_dd``. A method
          that does not learn step sizes is used in the first half of the fit, as above.
        - A list of methods. They follow one another, with equal shares of the fit. Unrolling is not
          added to a list automatically.

        For a multilabel y, only unrolling is possible.
    labels : {"auto", "hard", "soft", "free"}, default="auto"
        How the synthetic samples are labelled.

        - ``"auto"``: the plan decides. It takes ``"free"`` for one known net if there are many
          real samples, else ``"hard"``.
        - ``"hard"``: each sample has one fixed class.
        - ``"soft"``: class probabilities are learned.
        - ``"free"``: any numbers are learned. They need not be positive or sum to 1, because the
          cross-entropy −Σ y log p takes any y. Each sample thus decides how far it moves each
          logit.
    data_init : str or array-like, default="auto"
        Where the synthetic samples start.

        - ``"auto"``: the plan decides. It takes the one of the next five from which students learn
          best on held-out samples. If the fit finds nothing better there, it returns the best pair
          of a start and a step size.
        - ``"kmeans"`` and ``"mean"``: k-means centres, or means of random halves, of each class.
        - ``"real"``: random real samples of each class.
        - ``"herding"``, ``"kcenters"`` and ``"medoids"``: real samples that ``Herding``,
          ``KCenters`` and ``Medoids`` choose. ``"auto"`` tries medoids only for scikit-learn
          models.
        - ``"noise"``: standard normal noise.
        - An array sets the samples directly, in the units of X and ordered by step.
    augment : None, {"flip", "shift", "dsa"} or callable, default=None
        A random transformation of images. It is drawn anew in each outer iteration and applied
        alike to all real and synthetic images. A callable takes images
        (n, channels, height, width) and a ``torch.Generator``; ``sklearn_dd.augmentation`` has
        several.
    training_loop : {"learned", "any"}, default="learned"
        The training that the synthetic samples are made for.

        - ``"learned"``: the learned schedule, that is, the mini-batches in their order with the
          learned step sizes.
        - ``"any"``: also ordinary loops, with shuffled mini-batches, a step size of the user's own,
          and SGD, momentum or Adam. Each outer iteration draws one (see ``OrdinaryLoops``). It
          then takes several times as long. Set ``validation_fraction=0``: the validation score,
          which is that of the learned schedule, may choose an iterate too early.
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
        Outer learning rate: the step size of Adam for the samples, in standard deviations of X. It
        is constant in the search, and falls to 0 along a cosine in the finish. ``None``: the plan
        decides. It takes 0.02, and more for few iterations or for one known net with free labels.
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
        Fraction of each class that is held out of the search, 2,000 samples at most. If ``init`` is
        a pool that is large enough, the same fraction of its nets is held out. Held-out students
        are scored on the held-out samples, which decides when the search ends and which iterate it
        keeps. In the finish, the held-out samples are learned from too. With 0, or if no class has
        enough samples, the last iterate is kept.
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
        used instead. Results are returned in the units of X.
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
    class_weight : dict, "balanced" or None, default=None
        How much each class counts, for a multiclass y. ``None`` counts all samples alike.
        ``"balanced"`` gives all classes the same total weight, with ``sample_weight`` too. A dict
        gives a class its weight; a class that it does not name has weight 1.
    n_samples : int, float or None, default=None
        With ``n_per_class="auto"``, the number of all synthetic samples, or their share of X.

    Attributes
    ----------
    X_syn_ : ndarray of shape (n, n_features) or (n, ...), or DataFrame
        Synthetic samples in the units and the layout of X, ordered by step, and by class within a
        step.
    y_syn_ : ndarray of shape (n,) or (n, n_classes)
        Class labels of the synthetic samples. With ``labels="soft"``, class probabilities; with
        ``"free"``, numbers. For a multilabel y with hard labels, 1 and 0.
    lrs_ : ndarray of shape (n_epochs, n_steps)
        Step size of each gradient step; (0, n_steps) if no student takes gradient steps.
    plan_ : Plan
        The parameters that may be left to the plan, with the values that the fit took and the
        reasons. A mapping, which can be printed, changed, and passed back as parameters.
    classes_ : ndarray of shape (n_classes,)
        Class labels. For a multilabel y, the indices of its columns.
    n_per_class_ : dict
        Number of synthetic samples of each class.
    n_features_in_ : int
        Number of values in one sample.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if X has string names.
    sample_shape_ : tuple of int
        Shape of one sample as the student sees it.
    n_iter_ : int
        Number of outer iterations that were run.
    stop_reason_ : str
        Why the fit ended: ``"max_time"``, ``"max_iter"``, ``"no longer improved"``,
        ``"no better than the start"``, ``"not finite"`` or ``"interrupted"``.
    history_ : dict of lists
        ``"loss"`` and ``"gradient_norm"`` of each outer iteration. For each look at held-out
        samples, ``"validation_iter"`` has the number of iterations done, ``"validation_score"`` the
        accuracy, and ``"dead_share"`` the share of students whose outputs are constant or not
        finite. For a multilabel y or another objective, the score is minus the mean objective.
    gains_ : ndarray of shape (n_students,) or None
        Where scikit-learn models learn, by how much the score of each student on training samples
        is higher than after learning from the start that teaches it best. A student with a negative
        gain pays for the others. None for networks alone, and for an objective of your own.
    fit_time_ : float
        Seconds that the fit took.
    student_ : NeuralNetClassifier or Pipeline
        A skorch net that was trained on the distilled data alone; or a scikit-learn model in a
        pipeline that standardises. Of several students, the first. It takes samples in the units of
        X. It predicts class labels or, for a multilabel y, 1 and 0 for each label.
    acceleration_ : dict
        How the students' gradient steps were taken. ``"traced_steps"`` counts steps that repeated a
        trace, ``"autograd_steps"`` those of PyTorch's autograd. ``"refusals"`` lists why steps were
        not traced. The environment variable ``SKLEARN_DD_ACCELERATE=0`` turns acceleration off;
        ``"autograd_steps"`` is then None.
    recipe_ : Recipe
        What is needed, besides samples, labels and step sizes, to train a student.
    seed_ : int
        The seed that was drawn from ``random_state``.

    See Also
    --------
    DatasetDistillerRegressor : Distils data with a regression target.
    DistilledData : What ``transform`` returns.
    Plan : What ``plan_`` holds.
    save_distilled : Writes the distilled data to a file.
    compare : Compares distilled data with baselines and with all the data.

    Notes
    -----
    Students are always in evaluation mode, so dropout is off. Modules with buffers that training
    changes, such as the running statistics of BatchNorm, are refused.

    If the values of an outer iteration are not finite, it is undone and the outer learning rates
    are halved. After five such iterations in a row, the fit ends with a warning.

    The last iterate of the search is kept, unless earlier ones were better on held-out samples by
    more than noise. If nothing was better than where the search began, or if the finished set is
    worse than the best start, the fit returns that start, with a warning.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959. Learned labels:
    Sucholutsky and Schonlau (2019), Soft-label dataset distillation, arXiv:1910.02551. The
    docstring of each method object names the source of the method.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_dd import DatasetDistiller
    >>> X, y = load_digits(return_X_y=True)
    >>> distiller = DatasetDistiller(n_per_class=1, max_iter=50, random_state=0).fit(X, y)
    >>> X_syn, y_syn, lrs = distiller.transform()
    >>> X_syn.shape, y_syn
    ((10, 64), array([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]))
    >>> lrs.shape == (distiller.plan_["n_epochs"], distiller.plan_["n_steps"])
    True
    >>> distiller.score(X, y) > 0.7
    True
    """

    n_per_class: int | str | Mapping[Any, int] = 1
    _: KW_ONLY
    objective: Any = "classification"
    labels: str = "auto"
    class_weight: Any = None
    n_samples: int | float | None = None

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **DistillerParameters._parameter_constraints,
        "class_weight": [None, StrOptions({"balanced"}), Mapping],
        "n_per_class": [Interval(Integral, 1, None, closed="left"), StrOptions({"auto"}), Mapping],
        "n_samples": [
            None,
            Interval(Integral, 1, None, closed="left"),
            Interval(Real, 0, 1, closed="neither"),
        ],
        "objective": [StrOptions({"classification"}), callable],
        "labels": [StrOptions({"auto", *Multiclass.parametrisations})],
    }

    def _read(self, X: Any, y: Any, sample_weight: Any, n_steps: int) -> RealSet:
        return classification_data(
            self, X, y, self.n_per_class, n_steps, n_samples=self.n_samples,
            class_weight=self.class_weight, sample_weight=sample_weight,
        )  # fmt: skip

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags
