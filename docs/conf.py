"""Sphinx configuration: furo for the looks, myst-nb for the executed pages."""

import os
import sys
from datetime import date
from pathlib import Path

import mixtura

project = "Mixtura"
author = "The Mixtura developers"
project_copyright = f"{date.today():%Y}, {author}"
version = release = mixtura.__version__

# The gallery types `mixtura ...`: the command of this environment, not of another.
os.environ["PATH"] = str(Path(sys.executable).parent) + os.pathsep + os.environ["PATH"]
# Its tables are small: threads that wait for each other took several times as long as one.
os.environ.setdefault("OMP_NUM_THREADS", "1")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "myst_nb",
]
exclude_patterns = ["_build"]
templates_path = ["_templates"]

autosummary_ignore_module_all = False
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "show-inheritance": True,
    # scikit-learn adds these to every estimator, and describes them with links into its own pages
    "exclude-members": ", ".join(
        f"set_{name}_request" for name in ("fit", "partial_fit", "predict", "score", "transform")
    ),
}
autodoc_inherit_docstrings = False
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
napoleon_use_rtype = False
napoleon_custom_sections = [("Arguments", "params_style")]

myst_enable_extensions = ["amsmath", "colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

nb_execution_mode = "cache"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_execution_in_temp = True

html_theme = "furo"
html_title = "Mixtura"
html_logo = "_static/mixtura.svg"
html_favicon = "_static/mixtura.svg"
html_static_path = ["_static"]
html_css_files = ["mixtura.css"]
html_show_sphinx = False
html_show_sourcelink = False
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#2a6f97", "color-brand-content": "#2a6f97"},
    "dark_css_variables": {"color-brand-primary": "#7fb7d6", "color-brand-content": "#7fb7d6"},
}
