"""Sphinx configuration."""

project = "neuro_sdk"
author = "The neuro_sdk authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "neuro_sdk"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]
