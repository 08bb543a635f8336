"""What is in each image of a kubeadm cluster."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from .images import Entry, File, Folder, Image, Link
from .local import run_local

_USERS: Final = (
    File(path="etc/passwd", content=b"root:x:0:0:root:/root:/sbin/nologin\n"),
    File(path="etc/group", content=b"root:x:0:\n"),
)
_IPTABLES: Final = tuple(
    f"{family}{verb}" for family in ("iptables", "ip6tables") for verb in ("", "-save", "-restore")
)
_PROXY_PROGRAMS: Final = ("/usr/sbin/nft", "/usr/sbin/xtables-nft-multi", "/usr/sbin/conntrack", "/usr/bin/ip")
_PROXY_FILES: Final = ("etc/protocols", "etc/services", "etc/nsswitch.conf")
"""Without /etc/protocols nft prints numbers; kube-proxy then does not know its own entries after a restart and removes
them all, and Services are dead for a minute."""


def build_image(component: str, tag: str, program: Path, debian: Path, architecture: str) -> Image:
    """Build the image of one component around its program."""
    entrypoint = {"coredns": "/coredns", "pause": "/pause"}.get(component, f"/usr/local/bin/{component}")
    entries: list[Entry] = [File(path=entrypoint, content=program, mode=0o755)]
    if component not in ("coredns", "pause"):
        entries += [*_USERS, Folder(path="tmp", mode=0o1777)]
    if component == "kube-proxy":
        entries += list_proxy_entries(debian)
    return Image(tag=tag, entrypoint=(entrypoint,), entries=tuple(entries), architecture=architecture)


def list_proxy_entries(debian: Path) -> tuple[Entry, ...]:
    """List what kube-proxy calls: nft, iptables in its nft flavour, conntrack and ip, with their libraries."""
    modules = sorted(debian.glob("usr/lib/*/xtables/*.so"))
    inside = [f"/{module.relative_to(debian)}" for module in modules]
    libraries = list_libraries(debian, (*_PROXY_PROGRAMS, *inside))
    return (
        *(Link(path=name, target=f"usr/{name}") for name in ("bin", "lib", "lib64", "sbin")),
        *(Folder(path=name) for name in ("run", "usr/bin", "usr/lib", "usr/lib64", "usr/sbin", "var/run")),
        *(_copy(debian, path, mode=0o755) for path in _PROXY_PROGRAMS),
        *(_copy(debian, path) for path in (*inside, *libraries)),
        *(Link(path=f"usr/sbin/{name}", target="xtables-nft-multi") for name in _IPTABLES),
        *(_copy(debian, path) for path in _PROXY_FILES),
    )


def list_libraries(debian: Path, programs: Iterable[str]) -> tuple[str, ...]:
    """List the shared libraries of programs of a root file system, the loader among them."""
    said = run_local("chroot", debian, "ldd", *programs).stdout
    found = set(re.findall(r"(/\S+\.so\S*) \(0x", said))
    return tuple(sorted(found))


def _copy(debian: Path, path: str, *, mode: int = 0o644) -> File:
    """Take a file under the name that it is asked for by, in the folder that this name really leads to."""
    folder, name = os.path.split(path.lstrip("/"))
    real = _resolve(debian, folder)
    if name.startswith("ld-"):
        mode = 0o755  # the kernel executes the loader
    return File(path=f"{real}/{name}", content=debian / _resolve(debian, f"{real}/{name}"), mode=mode)


def _resolve(root: Path, path: str) -> str:
    """Follow symbolic links as a process does whose root is `root`."""
    done = "/"
    parts = path.strip("/").split("/")[::-1]
    while parts:
        step = os.path.normpath(os.path.join(done, parts.pop()))
        outside = root / step.lstrip("/")
        if outside.is_symlink():
            target = os.readlink(outside)
            done = "/" if target.startswith("/") else done
            parts += target.strip("/").split("/")[::-1]
        else:
            done = step
    return done.lstrip("/")
