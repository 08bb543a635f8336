"""The peer: a stock kopf operator that does nothing, with all settings as they come. Run by `kopf run`."""

from __future__ import annotations

from typing import Any

import kopf


@kopf.on.event("atoll.dev", "v1alpha1", "tenants")
async def on_tenant(event: Any, **_: Any) -> None:
    """Take the event, and do nothing."""
    del event
