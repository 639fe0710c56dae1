"""The baselines: each chooses the samples of a class in its own way."""

from __future__ import annotations

from .._selection import (
    cluster_centers,
    herding,
    k_centers,
    mean_of_all,
    medoids,
    random_samples,
)
from .base import Baseline


class RandomSamples(Baseline):
    """Random real samples of each class. With ``n_sets=20``, the best of 20 such sets.

    Parameters are those of `Baseline`.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959, where they are
    "random real images" and "optimized real images".

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

    choose = staticmethod(random_samples)


class ClassMeans(Baseline):
    """The mean of each class, repeated if ``n_per_class`` is larger than 1.

    Parameters are those of `Baseline`.

    References
    ----------
    Wang, Zhu, Torralba and Efros (2018), Dataset Distillation, arXiv:1811.10959, where they are
    "average real images".

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

    choose = staticmethod(mean_of_all)


class KMeansCenters(Baseline):
    """The centres of the k-means clusters of each class.

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

    choose = staticmethod(cluster_centers)


class Medoids(Baseline):
    """The real samples closest to the centres of the k-means clusters of each class.

    Parameters are those of `Baseline`.

    References
    ----------
    Kaufman and Rousseeuw (1987), Clustering by means of medoids. There, the samples themselves are
    the centres; here, they stand for those of k-means.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import Medoids
    >>> X, y = load_wine(return_X_y=True)
    >>> X_real, y_real, _ = Medoids(n_per_class=3, random_state=0).fit_transform(X, y)
    >>> X_real.shape, y_real
    ((9, 13), array([0, 0, 0, 1, 1, 1, 2, 2, 2]))
    """

    choose = staticmethod(medoids)


class KCenters(Baseline):
    """Real samples of each class, each the farthest from those chosen before it.

    The first is the sample closest to the mean.

    Parameters are those of `Baseline`.

    References
    ----------
    Gonzalez (1985), Clustering to minimize the maximum intercluster distance. Sener and Savarese
    (2018), Active learning for convolutional neural networks: a core-set approach,
    arXiv:1708.00489. There, distances are between features of a network; here, between samples.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import KCenters
    >>> X, y = load_wine(return_X_y=True)
    >>> KCenters(n_per_class=3, random_state=0).fit_transform(X, y).X.shape
    (9, 13)
    """

    choose = staticmethod(k_centers)


class Herding(Baseline):
    """Real samples of each class, each the one that brings their mean closest to the class mean.

    Parameters are those of `Baseline`.

    References
    ----------
    Welling (2009), Herding dynamical weights to learn. Rebuffi, Kolesnikov, Sperl and Lampert
    (2017), iCaRL, arXiv:1611.07725. There, means are of features of a network; here, of samples.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn_dd import Herding
    >>> X, y = load_wine(return_X_y=True)
    >>> Herding(n_per_class=3, random_state=0).fit_transform(X, y).X.shape
    (9, 13)
    """

    choose = staticmethod(herding)
