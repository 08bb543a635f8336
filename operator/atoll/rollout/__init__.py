"""Staged changes of a set: which member moves when, one hop at a time, and when to stop. Pure: no await, no clock."""

from .audit_entries import plan_entries
from .build import build_rollout
from .estimates import Estimates
from .grading import forecast_new, to_forecast
from .hops import HopRefusal, plan_hops
from .planner import plan_rollouts
from .revert import describe_way_back
from .revisions import Revisions, member_revision, set_revision, settled_revision
from .waves import freeze_waves

__all__ = [
    "Estimates",
    "HopRefusal",
    "Revisions",
    "build_rollout",
    "describe_way_back",
    "forecast_new",
    "freeze_waves",
    "member_revision",
    "plan_entries",
    "plan_hops",
    "plan_rollouts",
    "set_revision",
    "settled_revision",
    "to_forecast",
]
