"""Every file of the repository that is generated from this room: `crds/` and the chart's copies.

In the chart's files, Atoll's user name is the default one; templates replace it by the release's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from .crds import HEADER, build_files, render_yaml
from .identity import Identity, build_service_account_username
from .policies import build_validating_policies
from .policies_people import build_mutating_policies
from .rights import build_cluster_rules, build_fleet_rules, build_people_roles

CRDS: Final = "crds"
CHART: Final = "helm/atoll"
CHART_FILES: Final = f"{CHART}/files"
CHART_USERNAME: Final = build_service_account_username("atoll-system", "atoll")
"""Stands for Atoll's user name in the chart's files."""
CHART_DELEGATES: Final = "ATOLL-DELEGATE"
"""Stands for the list of delegates in the chart's files."""


def build_generated_files() -> dict[str, str]:
    """Build every generated file: path below the repository's root → content."""
    # Removing the chart must not remove the CRDs, and with them every object and in the end every cluster.
    kept = build_files({"helm.sh/resource-policy": "keep"})
    validating = build_validating_policies(Identity(usernames=(CHART_USERNAME,)), (CHART_DELEGATES,))
    return {
        **{f"{CRDS}/{name}": text for name, text in build_files().items()},
        **{f"{CHART_FILES}/crds/{name}": text for name, text in kept.items()},
        f"{CHART_FILES}/policies/validating.yaml": _join(validating),
        f"{CHART_FILES}/policies/mutating.yaml": _join(build_mutating_policies((CHART_DELEGATES,))),
        f"{CHART_FILES}/rights/fleet-rules.yaml": render_yaml(list(build_fleet_rules())),
        f"{CHART_FILES}/rights/cluster-rules.yaml": render_yaml(list(build_cluster_rules())),
        f"{CHART_FILES}/rights/people.yaml": _join(build_people_roles()),
    }


def find_stale(root: Path, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Name the files below `root` that are missing, differ from `wanted`, or are there without being wanted."""
    stale = {path for path, text in wanted.items() if not _same(root / path, text)}
    folders = {Path(path).parent for path in wanted}
    left_over = {
        str(file.relative_to(root))
        for folder in folders
        for file in (root / folder).glob("*.yaml")
        # Only what we generated ourselves: other people's files may lie beside it.
        if file.is_file() and file.read_text(encoding="utf-8").startswith(HEADER)
    } - wanted.keys()
    return tuple(sorted(stale | left_over))


def write_files(root: Path, wanted: Mapping[str, str]) -> tuple[str, ...]:
    """Bring the files below `root` to `wanted`; return the names of those that were not."""
    stale = find_stale(root, wanted)
    for name in stale:
        file = root / name
        if name in wanted:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(wanted[name], encoding="utf-8")
        else:
            file.unlink()
    return stale


def _same(file: Path, text: str) -> bool:
    return file.is_file() and file.read_text(encoding="utf-8") == text


def _join(bodies: Iterable[dict[str, Any]]) -> str:
    return "---\n".join(render_yaml(body) for body in bodies)
