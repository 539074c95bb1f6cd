"""How Sphinx builds the documentation; `make docs` calls it."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

# The reference imports the package, which imports AiiDA, which makes its configuration folder when it is imported: keep
# it away from the user's own.
os.environ["AIIDA_PATH"] = tempfile.mkdtemp(prefix="sicmlip-docs-")
(Path(os.environ["AIIDA_PATH"]) / ".aiida").mkdir()
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

# ruff: noqa: E402 - the folders above have to be set before
from aiida.manage.configuration import get_config

import aiida_sicmlip

# Autodoc looks at every attribute of a class, those that AiiDA is giving up too.
get_config(create=True).set_option("warnings.showdeprecations", False)

project = "aiida-sicmlip"
author = "The aiida-sicmlip developers"
project_copyright = "The aiida-sicmlip developers, MIT licence"
release = version = aiida_sicmlip.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sicmlip_directives"]
exclude_patterns = ["_build"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

# Docstrings write names as `name`.
default_role = "code"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_preserve_defaults = True

html_theme = "furo"
html_title = f"aiida-sicmlip {release}"
html_show_sphinx = False
