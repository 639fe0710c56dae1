"""Sphinx configuration. A build fetches nothing from the network."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_ext"))
os.environ["TQDM_DELAY"] = "1e6"  # a progress bar is of no use on a page

import torch  # noqa: E402

import sklearn_dd  # noqa: E402

torch.set_num_threads(1)  # the small networks of the gallery gain nothing from more

project = "sklearn_dd"
author = "The sklearn_dd developers"
copyright = author
release = version = sklearn_dd.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
    "mathml",
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]

autodoc_typehints = "none"  # numpydoc sections name the types
autosummary_generate = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf = {
    "examples_dirs": str(HERE.parent / "examples"),
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"/paper/|__init__\.py",
    "within_subsection_order": "gallery.reading_order",
    "reset_modules": ("matplotlib", "gallery.remove_picture"),
    "reset_modules_order": "both",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("sklearn_dd",),
    "abort_on_example_error": True,
    "capture_repr": (),
    "remove_config_comments": True,
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = f"sklearn_dd {version}"
html_math_renderer = "mathml"
html_show_sourcelink = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version"],
}
