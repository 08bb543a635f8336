"""Each kit has all that the suite asks of it: one of them needs hosts, and would tell it only after many minutes."""

from __future__ import annotations

import pytest

from tests.e2e.hosts.kubeadm_kit import KubeadmKit

from .cloud_kit import CLOUD_KITS
from .existing_kit import ExistingKit
from .provider_kit import FakeKit, Kit, LocalKit

ASKED = sorted({*Kit.__annotations__, *(name for name in vars(Kit) if not name.startswith("_"))})


@pytest.mark.parametrize("kit", [FakeKit, LocalKit, ExistingKit, KubeadmKit, *CLOUD_KITS.values()])
def test_a_kit_has_all_that_the_suite_asks_of_it(kit: type) -> None:
    assert [name for name in ASKED if not hasattr(kit, name)] == []
