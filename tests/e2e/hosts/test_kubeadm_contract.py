"""Provider `kubeadm` keeps the same contract as every other provider, on real hosts."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.contract.test_provider_contract import *  # noqa: F403 - the suite, with this kit

from .kubeadm_kit import KubeadmKit
from .rig import Rig

pytestmark = pytest.mark.e2e
NAMES = ("k1", "k2", "k3")


@pytest.fixture
async def kit(rig: Rig) -> AsyncIterator[KubeadmKit]:
    """A cluster of two hosts, and one of one, on new machines each time."""
    first, worker, alone = rig.up(*NAMES)
    made = KubeadmKit(rig, {"c1": (first, worker), "c2": (alone,)})
    try:
        yield made
        await made.clean()
    finally:
        rig.down(*NAMES)
