"""The tree as people see it: signs before colours, problems first, healthy siblings folded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.text import Text
from rich.tree import Tree

from atoll.fleet import reasons

from .tree_model import Node

SHOWN: Final = 5
"""How many healthy siblings are shown before the rest is folded into one line."""
OPEN: Final = frozenset({"Fleet", "ClusterSet"})
"""Kinds below which everything has a line of its own; a healthy cluster says in its own line what is on it."""
_GREY: Final = "bright_black"
_AT_WORK: Final = frozenset(
    {
        reasons.PROGRESSING,
        reasons.CREATING,
        reasons.CHANGING,
        reasons.REVERTING,
        reasons.REPAIRING,
        reasons.VERIFYING,
        reasons.DELETING,
        reasons.ROLLING_OUT,
        reasons.SOAKING,
        reasons.GATE_CLOSED,
        reasons.FROZEN,
        reasons.MEMBERS_NOT_AVAILABLE,
    }
)
"""Reasons that pass by themselves."""


def render_fleets(fleets: Sequence[Node], *, wide: bool = False) -> list[Tree]:
    """Draw each fleet."""
    return [render_fleet(fleet, wide=wide) for fleet in fleets]


def render_fleet(fleet: Node, *, wide: bool = False) -> Tree:
    """Draw one fleet; `wide`: nothing is folded."""
    tree = Tree(Text(fleet.name, style="bold"), guide_style=_GREY)
    _grow(tree, fleet.children, wide=wide)
    return tree


def choose_mark(node: Node) -> tuple[str, str]:
    """Choose the sign of a node's state, and its colour."""
    if node.ready:
        return "✓", "green"
    if node.ready is None and node.reason == reasons.UNREACHABLE:
        return "?", "yellow"
    if node.ready is None or node.reason in _AT_WORK or node.reason == "Pending":
        return "◐", "yellow"
    return ("‖", "yellow") if node.reason == reasons.PAUSED else ("✗", "red")


def _grow(tree: Tree, nodes: Sequence[Node], *, wide: bool) -> None:
    """Draw siblings: all with problems, and as many healthy ones of each kind as one can take in."""
    folded: dict[str, int] = {}
    healthy: dict[str, int] = {}
    shown = []
    for node in nodes:
        healthy[node.kind] = healthy.get(node.kind, 0) + (node.ready is True)
        if wide or node.ready is not True or healthy[node.kind] <= SHOWN or node.kind in OPEN:
            shown.append(node)
        else:
            folded[node.kind] = folded.get(node.kind, 0) + 1
    name_width = max((len(_title(node)) for node in shown), default=0)
    version_width = max((len(node.version) for node in shown), default=0)
    for node in shown:
        branch = tree.add(_render_line(node, name_width, version_width, wide=wide))
        if wide or node.kind in OPEN:
            _grow(branch, node.children, wide=wide)
        elif troubled := _troubled(node):
            _grow(branch, troubled, wide=wide)
    for kind, count in folded.items():
        tree.add(Text(f"{count} more {kind} ready", style=_GREY))


def _troubled(node: Node) -> list[Node]:
    """Return the tenants on a cluster that are not as they shall be; healthy ones stand in the cluster's line."""
    return [tenant for environment in node.children for tenant in environment.children if tenant.ready is not True]


def _title(node: Node) -> str:
    return node.name if node.kind == "ChildCluster" else f"{node.kind} {node.name}"


def _render_line(node: Node, name_width: int, version_width: int, *, wide: bool) -> Text:
    mark, colour = choose_mark(node)
    line = Text()
    line.append(_title(node).ljust(name_width), style="bold" if node.kind in OPEN else "")
    if version_width:
        line.append(f"  {node.version.ljust(version_width)}")
    line.append(f"  {mark} ", style=colour)
    line.append(_tell(node), style="" if node.ready else colour)
    if on_it := "" if wide else _tell_tenants(node):
        line.append(f"   {on_it}")
    line.rstrip()
    return line


def _tell(node: Node) -> str:
    """Say how a node is: in short when it is well, with reason and message when it is not."""
    if node.ready:
        return node.detail or "ready"
    mark, _ = choose_mark(node)
    words = node.detail if mark == "◐" and node.detail and node.kind == "ChildCluster" else node.message
    prefix = "" if mark == "◐" else node.reason
    parts = [part for part in (prefix, words) if part]
    told = ": ".join(parts) or node.reason
    if node.kind != "ClusterSet" or not node.detail:
        return told
    rolling = any(child.kind == "Rollout" for child in node.children)  # its line says the same, and more
    return node.detail if rolling else f"{node.detail}  {told}"


def _tell_tenants(node: Node) -> str:
    """Say which tenants a cluster serves, by environment."""
    if node.kind != "ChildCluster":
        return ""
    told = []
    for environment in sorted(node.children, key=lambda item: item.name):
        tenants = (tenant.name if tenant.ready else f"{tenant.name} waits" for tenant in environment.children)
        told.append(f"{environment.name}: {', '.join(tenants)}")
    return "  ".join(told)
