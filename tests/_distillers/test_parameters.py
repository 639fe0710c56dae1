"""An error names the parameter, the rule, the value received and the remedy."""

from __future__ import annotations

import numpy as np
import pytest

from ..helpers import (
    tiny,
)


@pytest.mark.parametrize(
    "parameter", ["labels", "data_init", "objective", "method", "training_loop"]
)
def test_an_unknown_name(table, parameter):
    with pytest.raises(ValueError, match=rf"'{parameter}' parameter.*Got 'magic' instead"):
        tiny(**{parameter: "magic"}).fit(*table)


SIZES = {
    "n_per_class": (0, -1, 1.5),
    "n_steps": (0, -1, 1.5),
    "n_epochs": (-1, 1.5),
    "distill_lr": (0, -0.1, "fast"),
    "max_iter": (0, -1, 1.5),
    "outer_lr": (0, -0.1),
    "batch_size": (0, -1, 1.5),
    "n_inits": (0, -1, 1.5),
    "validation_fraction": (-0.1, 1.0, 2),
    "n_iter_no_change": (0, -1, 1.5),
    "standardize": ("yes",),
    "warm_start": ("yes",),
    "sample_shape": (13, "13"),
    "random_state": ("seed", -1),
    "verbose": ("loud", -1),
}


@pytest.mark.parametrize(
    ("parameter", "value"), [(name, value) for name, values in SIZES.items() for value in values]
)
def test_a_value_out_of_range(table, parameter, value):
    rule = rf"'{parameter}' parameter of DatasetDistiller must be .* Got {value!r} instead"
    with pytest.raises(ValueError, match=rule):
        tiny(**{parameter: value}).fit(*table)


@pytest.mark.parametrize("value", [np.inf, np.nan])
@pytest.mark.parametrize("parameter", ["distill_lr", "outer_lr"])
def test_a_rate_that_is_not_finite(table, parameter, value):
    with pytest.raises(ValueError, match=f"'{parameter}' parameter"):
        tiny(**{parameter: value}).fit(*table)
