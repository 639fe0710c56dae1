"""How data were made, in words and hashes."""

from __future__ import annotations

import numpy as np
import torch

from sklearn_dd import (
    load_distilled,
    save_distilled,
)

from ..helpers import (
    tiny,
)


def test_a_file_tells_how_the_data_were_made(table, path):
    distiller = tiny(n_per_class=2, random_state=11, data_init=np.zeros((6, 13))).fit(*table)
    save_distilled(str(path), distiller)
    description = load_distilled(str(path)).recipe.description
    assert description == distiller.recipe_.description
    assert description["seed"] == distiller.seed_
    assert description["student"] == "MLP"
    assert description["versions"]["torch"] == torch.__version__
    assert set(description["versions"]) == {
        "sklearn-dd", "torch", "scikit-learn", "skorch", "numpy", "python",
    }  # fmt: skip
    parameters = description["parameters"]
    assert parameters["n_per_class"] == 2
    assert parameters["random_state"] == 11
    assert parameters["init"] == "random"
    assert set(parameters) == set(distiller.get_params(deep=False))
