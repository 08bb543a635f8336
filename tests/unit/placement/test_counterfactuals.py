"""What a refusal proposes: done to the manifests exactly as written it admits, and nothing of it can be left out.

Whether a cluster admits is said by the checker, which knows nothing of the product, and by the product itself.
"""

from __future__ import annotations

import copy
import random
import re
from collections import Counter
from collections.abc import Iterable

from atoll.fleet.decisions import Patch, PlacementDecision, Refusal
from atoll.placement import build_candidates, explain

from .checker import Json, Stand
from .random_fleets import Kind, Scene, build_body, decide, draw_scene, read_stands

FLEETS = 400
BEYOND = frozenset({"unavailable", "leaving", "not-supported", "border"})
"""Mended by time, by nodes or by another version; no edit of a manifest helps."""


def test_patches_together_admit_and_none_can_be_left_out() -> None:
    seen: Counter[str] = Counter()
    several = 0
    for seed in range(FLEETS):
        scene = draw_scene((random.Random if seed % 2 else Kind)(seed))
        decision = decide(scene)
        stands = read_stands(decision.placements)
        scene.write(decision)
        for refusal in [refusal for unplaced in decision.unplaced for refusal in unplaced.refusals]:
            if not refusal.patches:
                continue
            seen.update(find_obstacles(scene, refusal, stands))
            several += len(refusal.patches) > 1
            patched = apply_patches(scene, refusal.patches)
            assert find_obstacles(patched, refusal, stands) == set(), (seed, refusal)
            assert not is_refused(patched, refusal, decision), (seed, refusal)
            for left_out in refusal.patches:
                rest = [patch for patch in refusal.patches if patch is not left_out]
                part = apply_patches(scene, rest)
                assert find_obstacles(part, refusal, stands), (seed, left_out, refusal)
                assert is_refused(part, refusal, decision), (seed, left_out, refusal)
    patchable = {
        "selector",
        "capability",
        "workload-class",
        "reserved",
        "country",
        "not-attested",
        "regime-exclusive",
        "version",
        "capacity",
        "allowed-tenants",
        "ceiling",
    }
    assert patchable <= seen.keys(), seen
    # Of these only isolation Hosts can be edited: down to Cluster, which there is.
    assert not (BEYOND - {"not-supported"}) & seen.keys()
    assert several > FLEETS / 4


def test_where_no_patch_is_offered_something_is_in_the_way_that_no_manifest_changes() -> None:
    for seed in range(FLEETS // 2):
        scene = draw_scene(random.Random(seed))
        decision = decide(scene)
        stands = read_stands(decision.placements)
        scene.write(decision)
        for refusal in [refusal for unplaced in decision.unplaced for refusal in unplaced.refusals]:
            assert refusal.remedy
            if not refusal.patches:
                obstacles = find_obstacles(scene, refusal, stands)
                # Who must be alone is not argued with; to demand an exclusive regime may ask for more than there is.
                others = {"isolation", "topology", "version", "regime-exclusive"}
                assert obstacles & (BEYOND | others), (seed, refusal, obstacles)


def find_obstacles(scene: Scene, refusal: Refusal, stands: Iterable[Stand]) -> set[str]:
    """Ask the checker."""
    who = (refusal.tenant, refusal.environment, refusal.namespaces, refusal.cluster)
    return scene.world().find_obstacles(*who, list(stands))


def is_refused(scene: Scene, refusal: Refusal, decision: PlacementDecision) -> bool:
    """Ask the product, with everybody standing where they stood when it refused."""
    fleet = scene.fleet()
    told = explain(fleet, build_candidates(fleet, scene.now), decision, refusal.tenant, refusal.environment)
    return any((item.cluster, item.namespaces) == (refusal.cluster, refusal.namespaces) for item in told)


def apply_patches(scene: Scene, patches: Iterable[Patch]) -> Scene:
    """Edit the manifests as the patches say; a path that leads nowhere is an error."""
    edited = scene.copy()
    for patch in patches:
        key = (patch.kind, patch.name)
        if patch.path == "spec":
            assert key not in edited.bodies
            edited.bodies[key] = build_body(*key, copy.deepcopy(patch.value))
            continue
        *parents, last = patch.path.split(".")
        node: Json = edited.bodies[key]
        for part in parents:
            found = re.fullmatch(r"(\w+)(?:\[([a-z0-9-]+)\])?", part)
            assert found, patch
            field, name = found.groups()
            if name is None:
                node = node.setdefault(field, {})
            else:
                (node,) = [item for item in node[field] if item["name"] == name]
        if patch.value is None:
            del node[last]
        else:
            node[last] = copy.deepcopy(patch.value)
    return edited
