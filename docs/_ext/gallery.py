"""What sphinx-gallery is told by the name of a function."""

from pathlib import Path

_FIRST = (
    "plot_quickstart.py", "plot_pipeline.py", "plot_tables.py", "plot_own_network.py",
    "plot_custom_objective.py", "plot_regression.py", "plot_federated.py",
)  # fmt: skip
_PICTURE = Path(__file__).parents[2] / "examples" / "quickstart.png"


def reading_order(filename):
    """From the first steps to the special cases; what is not named comes last."""
    return _FIRST.index(filename) if filename in _FIRST else len(_FIRST)


def remove_picture(gallery_conf, filename):
    """Remove what the quickstart writes for those who run it as a script."""
    _PICTURE.unlink(missing_ok=True)
