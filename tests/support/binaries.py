"""Programs for real planes, where the toolchain finds them: ATOLL_ASSETS, or the cache that `make toolchain` fills."""

from __future__ import annotations

import os
from pathlib import Path

from atoll.embedded.binaries import FoundBinaries
from atoll.planes.binaries import API_SERVER, CONTROLLER_MANAGER, ETCD, ETCD_VERSION, ETCDCTL, ETCDUTL
from atoll.toolchain import Sources, Toolchain


class Assets(FoundBinaries):
    """What is there now. A program that is missing fails the test that asks for it, saying how to get it."""

    def __init__(self) -> None:
        super().__init__(Toolchain(Sources.from_environ(os.environ)))


def find_program(version: str, binary: str) -> Path:
    """Return where one program is."""
    return Assets().path(version, binary)


def link_assets(folder: Path, old: str, new: str) -> Path:
    """Fill a folder with links to the real programs of two versions, so that a test can put another in one's place."""
    toolchain = Toolchain(Sources.from_environ(os.environ))
    plane = (API_SERVER, CONTROLLER_MANAGER)
    for version, names in ((old, plane), (new, (*plane, "kubectl")), (ETCD_VERSION, (ETCD, ETCDCTL, ETCDUTL))):
        (folder / version).mkdir()
        for name, path in toolchain.get(version, list(names)).items():
            (folder / version / name).symlink_to(path)
    return folder
