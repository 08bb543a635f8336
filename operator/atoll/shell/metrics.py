"""What the operator counts, for Prometheus. Names follow the trio that controller-runtime made customary."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Metrics:
    """The counters of one operator, on a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.reconciles = Counter("atoll_reconcile", "Decisions made.", ["result"], registry=self.registry)
        self.seconds = Histogram("atoll_reconcile_duration_seconds", "Time of one decision.", registry=self.registry)
        self.steps = Counter("atoll_steps", "Steps carried out.", ["step", "result"], registry=self.registry)
        self.cloud_calls = Counter(
            "atoll_cloud_calls", "Calls of clouds' APIs.", ["provider", "call", "result"], registry=self.registry
        )
        self.events = Counter("atoll_watch_events", "Watch events received.", ["kind"], registry=self.registry)
        self.last_event = Gauge(
            "atoll_watch_last_event_timestamp_seconds", "When the last event came.", ["kind"], registry=self.registry
        )
        self.children = Gauge("atoll_children", "Children by readiness.", ["fleet", "ready"], registry=self.registry)
        self.observe_seconds = Histogram(
            "atoll_child_observe_duration_seconds", "Time of one look at a child.", registry=self.registry
        )

    def render(self) -> bytes:
        """Return everything in the text format."""
        return generate_latest(self.registry)
