"""Sphinx configuration."""

project = "neuro_sdk"
author = "The neuro_sdk authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_click"]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "neuro_sdk"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_class_signature = "separated"
myst_heading_anchors = 3
suppress_warnings = ["ref.python"]


def examples_as_they_are(app, ctx, lines):
    """Show the end of a command's help as it is typed, for a star there is no emphasis."""
    del app
    lines[:] = []
    for paragraph in filter(None, (ctx.command.epilog or "").replace("\b\n", "").split("\n\n")):
        title, *rest = paragraph.splitlines()
        lines += ["", title, "", ".. code-block:: text", "", *(f"   {line}" for line in rest), ""]


def setup(app):
    app.connect("sphinx-click-process-epilog", examples_as_they_are)
