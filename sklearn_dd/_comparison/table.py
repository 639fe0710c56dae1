"""The table of a comparison, and its verdict in words."""

from __future__ import annotations

import math
from collections.abc import Iterable
from enum import Enum, auto
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import t as student_t  # type: ignore[import-untyped]

from .._data import Array

_CONFIDENCE = 0.95
_HELPED = "helped"


class Kind(Enum):
    """The kind of set that a model was trained on."""

    DISTILLED = auto()
    HARD_LABELS = auto()  # the distilled set with hard labels in place of learned ones
    RANDOM = auto()
    OTHER = auto()
    ALL_DATA = auto()


class Cell(NamedTuple):
    """A model and the set that it was trained on."""

    kind: Kind
    data: str  # the label of the set in the table
    schedule: str
    model: str
    n_samples: int


class Spent(NamedTuple):
    """What a set and a model take."""

    n_bytes: int  # of samples, labels and step sizes
    fit_time: float  # seconds, to make the set
    train_time: float  # seconds, to train a model on it and to score it


class Scored(NamedTuple):
    """A cell, its scores on one set, and what they took."""

    cell: Cell
    scores: Array
    spent: Spent


class Row(NamedTuple):
    """A cell and the statistics of its scores, over all sets with the same label."""

    cell: Cell
    mean: float
    std: float
    low: float
    high: float
    n_scores: int
    n_bytes: int
    fit_time: float
    train_time: float


_NO = math.nan
NO_ROW = Row(Cell(Kind.OTHER, "", "", "", 0), _NO, _NO, _NO, _NO, 0, 0, _NO, _NO)


class Comparison(NamedTuple):
    """Scores of models that were trained on different sets.

    Attributes
    ----------
    table : dict of ndarray
        Columns with an entry for each set and model, as in ``cv_results_``. To get a DataFrame,
        use ``pandas.DataFrame(table)``. The columns are

        - ``data``: the set, which is ``distilled``, the class of a baseline, or ``all data``. If
          baselines of a class differ in more than their seed and their schedule, they are numbered;
        - ``schedule``: whether the step sizes were ``learned`` or ``fixed``; empty for scikit-learn
          models, which have no step sizes;
        - ``model``: the student or model that was trained;
        - ``n_samples``: the number of samples that it was trained on;
        - ``mean``, ``std``: mean and standard deviation of the score: accuracy, or what ``scoring``
          names;
        - ``low``, ``high``: 95 % confidence interval of the mean (Student's t), over sets if there
          are several of that name, else over students; NaN for a single score. It does not cover
          the choice of test samples;
        - ``n_scores``: the number of scores, over all sets of that name;
        - ``n_bytes``: the bytes of the set, with labels and step sizes;
        - ``fit_time``: seconds to make the set, a mean over sets;
        - ``train_time``: seconds to train the model on the set and to score it, a mean;
        - ``pays_after``: after how many trainings it has paid to make the set, because each takes
          less time than one on all the data; infinite if never;
        - ``hard_label_recovery``: what the model loses against all the data; NaN for
          learned labels;
        - ``improvement_over_random``: what the model gains over the same number of random samples
          with the better schedule.
    verdict : str
        Where distillation helped and where it did not.

    See Also
    --------
    compare : Makes a comparison.

    Examples
    --------
    >>> from sklearn.datasets import load_wine
    >>> from sklearn.model_selection import train_test_split
    >>> from sklearn_dd import ClassMeans, DatasetDistiller, compare
    >>> X_train, X_test, y_train, y_test = train_test_split(
    ...     *load_wine(return_X_y=True), random_state=0
    ... )
    >>> distiller = DatasetDistiller(max_iter=20, random_state=0).fit(X_train, y_train)
    >>> comparison = compare(
    ...     distiller, X_train, y_train, X_test, y_test,
    ...     baselines=[ClassMeans(random_state=0)], models={}, n_full=0,
    ... )
    >>> comparison.table["data"].tolist(), comparison.table["n_scores"].tolist()
    (['distilled', 'ClassMeans'], [20, 20])
    >>> comparison.verdict.startswith("Distillation ")
    True
    """

    table: dict[str, Array]
    verdict: str


def summarise(found: Iterable[Scored]) -> Comparison:
    """Make a comparison from the scores on each set."""
    by_cell: dict[Cell, list[Scored]] = {}
    for each in found:
        by_cell.setdefault(each.cell, []).append(each)
    rows = [_row(cell, of_sets) for cell, of_sets in by_cell.items()]
    columns: dict[str, list[Any]] = {}
    for row in rows:
        cell = row.cell._asdict()
        cell.pop("kind")
        numbers = row._asdict()
        numbers.pop("cell")
        for name, value in (cell | numbers | _differences(row, rows)).items():
            columns.setdefault(name, []).append(value)
    return Comparison({name: np.array(values) for name, values in columns.items()}, _verdict(rows))


def _row(cell: Cell, of_sets: list[Scored]) -> Row:
    scores = np.concatenate([each.scores for each in of_sets])
    # Scores on the same set are correlated, so with several sets the interval is over sets.
    units = np.array([each.scores.mean() for each in of_sets]) if len(of_sets) > 1 else scores
    n, mean, half = len(units), float(scores.mean()), math.nan
    if n > 1:
        quantile = student_t.ppf((1 + _CONFIDENCE) / 2, n - 1)
        half = float(quantile * units.std(ddof=1) / math.sqrt(n))
    n_bytes, *times = np.mean([each.spent for each in of_sets], axis=0).tolist()
    statistics = mean, float(scores.std()), mean - half, mean + half, len(scores)
    return Row(cell, *statistics, int(n_bytes), *times)


def _differences(row: Row, rows: list[Row]) -> dict[str, float]:
    """What a model loses against all the data and gains over random samples."""
    alike = [other for other in rows if other.cell.model == row.cell.model]
    size = rows[0].cell.n_samples  # of the distilled set, which comes first
    full = _best(other for other in alike if other.cell.kind is Kind.ALL_DATA)
    random = _best(
        other for other in alike if other.cell.kind is Kind.RANDOM and other.cell.n_samples == size
    )
    has_hard_labels = any(other.cell.kind is Kind.HARD_LABELS for other in alike)
    is_soft = row.cell.kind is Kind.DISTILLED and has_hard_labels
    return {
        "hard_label_recovery": math.nan if is_soft else full.mean - row.mean,
        "improvement_over_random": row.mean - random.mean,
        "pays_after": _pays_after(row, full),
    }


def _pays_after(row: Row, full: Row) -> float:
    """Trainings after which the time to make a set is saved; NaN without one on all the data."""
    saved = full.train_time - row.train_time
    if row.cell.kind is Kind.ALL_DATA or math.isnan(saved):
        return math.nan
    return math.ceil(row.fit_time / saved) if saved > 0 else math.inf


def _best(rows: Iterable[Row]) -> Row:
    """The row with the highest mean."""
    return max(rows, key=lambda row: row.mean, default=NO_ROW)


def _verdict(rows: list[Row]) -> str:
    """Say where the distilled set is better than all other small sets, and where it is not."""
    others = [row for row in rows if row.cell.kind in (Kind.RANDOM, Kind.OTHER)]
    if not others:
        return "There is no other small set to compare with."
    # One row for each model: that with learned labels if the model takes them.
    own_rows = {row.cell.model: row for row in rows if row.cell.kind is Kind.DISTILLED}
    for row in rows:
        if row.cell.kind is Kind.HARD_LABELS:
            own_rows.setdefault(row.cell.model, row)
    own, rival = _best(own_rows.values()), _best(others)
    sentences = [
        f"Distillation {_outcome(own, rival)}: {own.cell.model} on the distilled set has "
        f"{own.mean:.3f}; the best on another set, {rival.cell.model} on {rival.cell.data} "
        f"({rival.cell.n_samples} samples), {rival.mean:.3f}."
    ]
    for model, own in own_rows.items():
        rival = _best(row for row in others if row.cell.model == model)
        outcome = _outcome(own, rival)
        if outcome != _HELPED:
            sentences.append(
                f"With {model} it {outcome}: {own.mean:.3f} on the distilled set, "
                f"{rival.mean:.3f} on {rival.cell.data}."
            )
    return " ".join(sentences)


def _outcome(own: Row, rival: Row) -> str:
    """Whether a mean is higher than another by more than its confidence interval."""
    if own.mean <= rival.mean:
        return "did not help"
    return _HELPED if own.low > rival.mean else "is not shown to help"
