"""What failed members have in common that nobody has who arrived: proposed as a hold for those who share it.

A proposal changes nothing. A person takes it up with the annotation `atoll.dev/hold` on the Rollout, which lists labels
(`region=us,rack=r7`); members with one of them are not begun until it is taken off again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from atoll.fleet.decisions import Proposal
from atoll.fleet.names import HOLD, MEMBER_LABEL, SET_LABEL

from .rows import Course, Verdict
from .states import FINISHED
from .waves import build_selector_labels


def propose_holds(course: Course, verdicts: Sequence[Verdict]) -> tuple[Proposal, ...]:
    """Propose a hold for each label that all failed members have, nobody who arrived, and somebody still to come."""
    failed = [_read_labels(course, verdict) for verdict in verdicts if verdict.row.state in {"Failed", "Reverted"}]
    if not failed:
        return ()
    arrived = [_read_labels(course, verdict) for verdict in verdicts if verdict.row.state == "Done"]
    coming = [verdict for verdict in verdicts if verdict.row.state not in FINISHED]
    held = course.rollout.meta.list_named(HOLD)
    common = set(failed[0].items()).intersection(*(set(labels.items()) for labels in failed[1:]))
    suspects = sorted(item for item in common if not any(item in labels.items() for labels in arrived))
    proposals = []
    for key, value in suspects:
        matching = tuple(v.row.cluster for v in coming if _read_labels(course, v).get(key) == value)
        if matching and len(matching) < len(coming) and f"{key}={value}" not in held:
            proposals.append(
                Proposal(label=f"{key}={value}", failed=len(failed), arrived=len(arrived), matching=matching)
            )
    return tuple(proposals)


def _read_labels(course: Course, verdict: Verdict) -> Mapping[str, str]:
    member = course.cluster_set.member(verdict.row.cluster)
    if member is None:
        return {}
    labels = build_selector_labels(course.cluster_set, member)
    return {key: value for key, value in labels.items() if key not in {SET_LABEL, MEMBER_LABEL}}
