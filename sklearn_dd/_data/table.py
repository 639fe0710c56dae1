"""Tables of mixed columns as numbers, and back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .arrays import Array

_MAX_LEVELS = 20  # of a column; rarer ones share one
_RARE = "(rare)"


@dataclass(frozen=True)
class Column:
    """How one column of a table is encoded.

    Attributes
    ----------
    name : object
        Its name.
    dtype : object
        Its dtype, which a decoded column has again.
    is_nominal : bool
        Whether it has a place for each of its levels, or one place for its numbers.
    levels : list
        The levels of a nominal column: those that have a place of their own, the rarest last.
    of_rare : object
        The most frequent of the levels that share a place, or None.
    low, high : float
        The least and the largest number.
    step : float
        What numbers are multiples of: 1 for integers, a day for dates; 0 for any number.
    fill : float
        The median, in place of missing numbers.
    has_missing : bool
        Whether values are missing; they have a place of their own.
    """

    name: Any
    dtype: Any
    is_nominal: bool
    levels: list[Any] = field(default_factory=list)
    of_rare: Any = None
    low: float = 0.0
    high: float = 0.0
    step: float = 0.0
    fill: float = 0.0
    has_missing: bool = False

    @property
    def width(self) -> int:
        """Number of places."""
        if self.is_nominal:
            return len(self.levels) + (self.of_rare is not None) + self.has_missing
        return 1 + self.has_missing


def is_table(X: Any) -> bool:
    """Whether X is a DataFrame of pandas with columns that are no numbers, or with gaps."""
    if not (hasattr(X, "columns") and type(X).__module__.startswith("pandas")):
        return False
    twice = X.columns[X.columns.duplicated()].tolist()
    if twice:
        raise ValueError(f"X has several columns of the name {twice[0]!r}. Give each its own name.")
    return any(X[name].isna().any() or not _has_numbers(X[name]) for name in X.columns)


def _has_numbers(column: Any) -> bool:
    """Whether all values that are there are numbers, or true and false."""
    if getattr(column.dtype, "kind", "O") in "iufb":
        return True
    if column.dtype != object or not len(known := column.dropna()):
        return False
    return all(isinstance(v, Real) and not isinstance(v, bool) for v in known)


def _is_date(dtype: Any) -> bool:
    return getattr(dtype, "kind", "O") in "Mm"


def _is_extension(dtype: Any) -> bool:
    return not isinstance(dtype, np.dtype)


@dataclass(frozen=True)
class Table:
    """The columns of a table, and how to encode and decode them.

    Attributes
    ----------
    columns : list of Column
        The columns, in their order.
    """

    columns: list[Column]

    @classmethod
    def of(cls, frame: Any) -> Table:
        """Read how a table has to be encoded."""
        return cls([_column(frame[name]) for name in frame.columns])

    def metadata(self) -> list[dict[str, Any]]:
        """The columns in a form that JSON can hold, which `read` reads."""
        found = []
        for column in self.columns:
            described = vars(column) | {"dtype": str(column.dtype)}
            if (kinds := getattr(column.dtype, "categories", None)) is not None:
                described |= {"categories": kinds.tolist(), "ordered": bool(column.dtype.ordered)}
            for value in (column.name, *described.get("categories", ()), *column.levels):
                if not isinstance(value, str | int | float | bool):
                    raise ValueError(
                        f"A file can hold names and categories that are strings or numbers, but "
                        f"column {column.name!r} has {value!r}. Convert them to strings before fit."
                    )
            found.append(described)
        return found

    @classmethod
    def read(cls, columns: list[dict[str, Any]]) -> Table:
        """The table that `metadata` described."""
        import pandas as pd

        found = []
        for described in columns:
            if described["dtype"] == "category":
                kinds, ordered = described.pop("categories"), described.pop("ordered")
                dtype: Any = pd.CategoricalDtype(kinds, ordered)
            else:
                dtype = pd.api.types.pandas_dtype(described["dtype"])
            found.append(Column(**{**described, "dtype": dtype}))
        return cls(found)

    @property
    def width(self) -> int:
        """Number of encoded features."""
        return sum(column.width for column in self.columns)

    def names(self) -> list[str]:
        """The names of the encoded features, such as ``colour=red``."""
        found = []
        for column in self.columns:
            found += [f"{column.name}={level}" for level in column.levels]
            if not column.is_nominal:
                found.append(str(column.name))
            elif column.of_rare is not None:
                found.append(f"{column.name}={_RARE}")
            if column.has_missing:
                found.append(f"{column.name} is missing")
        return found

    def places(self) -> Iterator[tuple[Column, slice]]:
        """Each column and its places among the encoded features."""
        at = 0
        for column in self.columns:
            yield column, slice(at, at + column.width)
            at += column.width

    def encode(self, frame: Any) -> Array:
        """A table as float64 (n, width)."""
        missing = [column.name for column in self.columns if column.name not in frame]
        if missing:
            raise ValueError(
                f"X must have the columns of the table that was fitted, but {missing} are missing."
            )
        parts = [_encoded(column, frame[column.name]) for column in self.columns]
        for column, part in zip(self.columns, parts, strict=True):
            if not np.isfinite(part).all():
                raise ValueError(
                    f"X must be finite, but column {column.name!r} has infinite values. Replace "
                    "them, or leave them missing."
                )
        return np.concatenate(parts, axis=1) if parts else np.empty((len(frame), 0))

    def decode(self, z: Array) -> Any:
        """A table from encoded features (n, width), each of its columns in its own dtype."""
        import pandas as pd

        found = {c.name: _decoded(c, z[:, places], pd) for c, places in self.places()}
        return pd.DataFrame(found, columns=[column.name for column in self.columns])

    def snap(self, z: Tensor) -> Tensor:
        """The nearest encoded features that a row of the table can have (n, width)."""
        parts = []
        for column, places in self.places():
            own = z[:, places]
            if column.is_nominal:
                own = torch.nn.functional.one_hot(own.argmax(1), own.shape[1]).to(z)
            else:
                value = own[:, :1].clamp(column.low, column.high)
                if column.step:
                    value = (value / column.step).round() * column.step
                if column.has_missing:
                    gap = (own[:, 1:] > 0.5).to(z)
                    value = torch.cat([torch.where(gap > 0, column.fill, value), gap], 1)
                own = value
            parts.append(own)
        return torch.cat(parts, 1)


def _column(values: Any) -> Column:
    """How a column is encoded."""
    dtype, gaps = values.dtype, bool(values.isna().any())
    known = values.dropna()
    if _is_date(dtype) or _has_numbers(values):
        numbers = _numbers(known)
        if not len(numbers):
            return Column(values.name, dtype, False, has_missing=gaps)
        return Column(
            values.name, dtype, False, low=float(numbers.min()), high=float(numbers.max()),
            step=_step(numbers), fill=float(np.median(numbers)), has_missing=gaps,
        )  # fmt: skip
    counts = known.value_counts()
    counts = counts[counts > 0]
    levels = counts.index.tolist()
    kept, rare = levels[:_MAX_LEVELS], levels[_MAX_LEVELS:]
    return Column(
        values.name, dtype, True, kept, of_rare=rare[0] if rare else None, has_missing=gaps
    )


def _numbers(values: Any) -> Array:
    """Numbers as float64; dates, on the clock of their time zone, and durations as days."""
    if _is_date(values.dtype):
        if getattr(values.dtype, "tz", None) is not None:
            values = values.dt.tz_localize(None)
        kind = "datetime64[us]" if values.dtype.kind == "M" else "timedelta64[us]"
        seconds = values.to_numpy(dtype=kind)
        days = seconds.astype(np.int64) / 86_400e6
        return np.where(np.isnat(seconds), np.nan, days)
    return values.to_numpy(dtype=np.float64, na_value=np.nan)


def _step(numbers: Array) -> float:
    """1 where all numbers are whole, days among them."""
    return float((numbers == numbers.round()).all())


def _encoded(column: Column, values: Any) -> Array:
    gaps = values.isna().to_numpy(dtype=bool)
    if not column.is_nominal:
        try:
            numbers = _numbers(values)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"X must have numbers in column {column.name!r}, as in the table that was fitted, "
                f"but has others: {error}."
            ) from error
        parts = [np.where(gaps, column.fill, numbers)]
        if column.has_missing:
            parts.append(gaps.astype(float))
        return np.stack(parts, 1)
    index = {level: k for k, level in enumerate(column.levels)}
    rare = len(column.levels) if column.of_rare is not None else -1
    last = column.width - 1 if column.has_missing else -1
    places = [
        last if gap else index.get(value, rare)
        for value, gap in zip(values.tolist(), gaps, strict=True)
    ]
    z = np.zeros((len(values), column.width))
    rows = np.flatnonzero(np.array(places) >= 0)  # an unknown level is none of the known ones
    z[rows, np.array(places)[rows]] = 1
    return z


def _decoded(column: Column, z: Array, pd: Any) -> Any:
    if column.is_nominal:
        levels = [*column.levels]
        if column.of_rare is not None:
            levels.append(column.of_rare)
        if column.has_missing:
            levels.append(None)
        chosen = [levels[k] for k in z.argmax(1)] if levels else [None] * len(z)
        return pd.Series(chosen, dtype=column.dtype)
    numbers = z[:, 0].astype(np.float64).clip(column.low, column.high)
    if column.step:
        numbers = np.round(numbers / column.step) * column.step
    if column.has_missing:
        numbers = np.where(z[:, 1] > 0.5, np.nan, numbers)
    if _is_date(column.dtype):
        microseconds = np.where(np.isnan(numbers), 0, numbers * 86_400e6).round().astype(np.int64)
        kind = "datetime64[us]" if column.dtype.kind == "M" else "timedelta64[us]"
        dates = microseconds.astype(kind)
        dates[np.isnan(numbers)] = "NaT"
        found, zone = pd.Series(dates), getattr(column.dtype, "tz", None)
        if zone is not None:  # an hour that the clock skips or repeats has a neighbour that is one
            first = np.ones(len(found), bool)
            found = found.dt.tz_localize(zone, ambiguous=first, nonexistent="shift_forward")
        return found.astype(column.dtype)
    if _is_extension(column.dtype) or column.dtype == object:
        make = _python_type(column)
        return pd.Series([None if np.isnan(n) else make(n) for n in numbers], dtype=column.dtype)
    return pd.Series(numbers).astype(column.dtype)


def _python_type(column: Column) -> type:
    """What a number of a column is in Python."""
    if getattr(column.dtype, "kind", "O") == "b":
        return bool
    return int if column.step else float
