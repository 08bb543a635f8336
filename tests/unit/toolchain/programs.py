"""Programs that are shell scripts: binaries that report a version, and a Go that records what it is asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from atoll.toolchain import Sources


def script_of(reports: str) -> str:
    """Tell the text of a program that prints its version."""
    return f"#!/bin/sh\necho {shlex.quote(reports)}\n"


def put_program(path: Path, reports: str = "Kubernetes v1.36.4", *, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script_of(reports))
    path.chmod(mode)
    return path


def sources_in(folder: Path, **changes: object) -> Sources:
    """Sources with everything below `folder`, and download hosts at a port where nobody listens."""
    settings: dict[str, object] = {
        "assets": None,
        "kubebuilder_assets": None,
        "cache": folder / "cache",
        "download": "https://127.0.0.1:1",
        "download_etcd": "https://127.0.0.1:1",
    }
    return Sources(**(settings | changes))  # type: ignore[arg-type]


def tree_of(folder: Path) -> set[str]:
    """Everything below `folder` but the locks, which are empty files that stay."""
    return {
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if ".locks" not in path.relative_to(folder).parts
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class FakeGo:
    """A `go` on a PATH of its own."""

    folder: Path

    @property
    def environ(self) -> dict[str, str]:
        return {"PATH": f"{self.folder}:/usr/bin:/bin", "HOME": "/nonexistent"}

    def calls(self) -> list[str]:
        """The command lines of the builds so far."""
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def environment(self) -> dict[str, str]:
        """What the last build saw."""
        return dict(line.split("=", 1) for line in (self.folder / "environment").read_text().splitlines())

    def modules(self) -> str:
        """The go.mod that the last build ran in."""
        return (self.folder / "go.mod").read_text()


def put_go(
    folder: Path,
    *,
    version: str = "go1.26.8",
    makes: str = "Kubernetes v1.36.4",
    takes_seconds: float = 0,
    says: str = "",
    ends_with: int = 0,
) -> FakeGo:
    """Put a Go into `folder`: it takes its time, says something, makes a program, and ends."""
    folder.mkdir(parents=True, exist_ok=True)
    go = folder / "go"
    go.write_text(
        f"""#!/bin/sh
if [ "$1" = version ]; then echo "go version {version} linux/amd64"; exit 0; fi
echo $$ > {folder}/pid
env > {folder}/environment
cp go.mod {folder}/go.mod
echo "$*" >> {folder}/calls
sleep {takes_seconds}
while [ $# -gt 0 ]; do if [ "$1" = -o ]; then made=$2; fi; shift; done
printf '%s' {shlex.quote(says)} >&2
if [ {ends_with} = 0 ]; then printf '%s' {shlex.quote(script_of(makes))} > "$made"; fi
exit {ends_with}
"""
    )
    go.chmod(0o755)
    return FakeGo(folder=folder)
