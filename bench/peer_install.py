"""Gets the peers from PyPI into a Python environment of their own."""

from __future__ import annotations

import os
import shutil
import subprocess
import venv
from pathlib import Path
from typing import Final

from tests.e2e.hosts.rig.places import find_cache

ANSIBLE: Final = "2.19.14"
MITOGEN: Final = "0.3.54"
"""A release of Mitogen for Ansible works with those minors of ansible-core that its notes name."""


def install_peers() -> Path:
    """Make the environment of the peers, unless it is there; returns its folder."""
    folder = find_cache(os.environ).parent / "bench" / f"ansible-{ANSIBLE}-mitogen-{MITOGEN}"
    stamp = folder / ".complete"
    if not stamp.exists():
        shutil.rmtree(folder, ignore_errors=True)
        venv.create(folder, with_pip=True)
        wanted = (f"ansible-core=={ANSIBLE}", f"mitogen=={MITOGEN}")
        subprocess.run([str(folder / "bin/pip"), "install", "--quiet", *wanted], check=True, timeout=900)
        stamp.touch()
    return folder
