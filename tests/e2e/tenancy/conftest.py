"""The fleet that tenants try to break out of: two real children, tenants whose names begin alike, one under a regime.

| child     | environments | tenants                                                            |
|-----------|--------------|--------------------------------------------------------------------|
| eu--one   | dev, dev-x   | shop, shop-x, and ghost, which was deleted and made again          |
| eu--two   | far          | shop, and vault under the regime `strict` (pod security restricted)|
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.e2e.tenancy.escapes_client import read_login
from tests.e2e.tenancy.escapes_run import Servers, Who
from tests.support.home import TestHome, open_home
from tests.support.manifests import API_VERSION, cluster_set, environment, fleet_namespace, member, tenant

ROLES = ("admin", "developer", "viewer")
CHILDREN = {"one": "eu--one", "two": "eu--two"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """A fleet, the manifests that it was made of, and everybody's credentials."""

    home: TestHome
    tenants: Mapping[str, Mapping[str, Any]]
    """Manifests by name."""
    servers: Servers
    """hub, one, two."""
    people: Mapping[str, Who]
    """Tenants' accounts, by `<tenant> <role>`, with ` far` behind it for the second of a tenant."""


def regime(name: str, **spec: Any) -> dict[str, Any]:
    """A regime."""
    return {
        "apiVersion": API_VERSION,
        "kind": "Regime",
        "metadata": {"name": name, "namespace": "fleet"},
        "spec": {"title": name, **spec},
    }


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHome]:
    """A management plane with the operator on it; nothing is left of it afterwards."""
    with open_home(tmp_path_factory.mktemp("home") / "atoll") as opened:
        yield opened


@pytest.fixture(scope="module")
def ground(home: TestHome) -> Ground:
    """Grow the fleet, and log everybody in."""
    tenants = {
        body["metadata"]["name"]: body
        for body in (
            _with_viewers(tenant("shop", "dev", "dev-x", "far")),
            _with_viewers(tenant("shop-x", "dev")),
            _with_viewers(tenant("vault", "far", regimes=["strict"])),
            _with_viewers(tenant("ghost", "dev")),
        )
    }
    home.apply(fleet_namespace())
    home.apply(
        regime("strict", podSecurity="restricted", labels={"compliance": "strict"}),
        cluster_set("eu", member("one", "near"), member("two", "far", regimes=["strict"])),
        environment("dev", stage="near", labels={"stage": "dev"}),
        environment("dev-x", stage="near"),
        environment("far"),
        *tenants.values(),
    )
    for name in tenants:
        home.wait_ready("tenant", name, seconds=120)
    wanted = {
        **{f"{name} {role}": ("one", name, role) for name in ("shop", "shop-x") for role in ROLES},
        **{f"vault {role}": ("two", "vault", role) for role in ROLES},
        "shop admin far": ("two", "shop", "admin"),
        "ghost admin": ("one", "ghost", "admin"),
        "ghost developer": ("one", "ghost", "developer"),
    }

    def log_in(key: str) -> Who:
        place, name, role = wanted[key]
        config = home.child_kubeconfig(CHILDREN[place], "--tenant", name, "--role", role)
        return Who(place=place, token=read_login(config).token)

    with ThreadPoolExecutor(2) as pool:
        children = dict(zip(CHILDREN, pool.map(home.child_kubeconfig, CHILDREN.values()), strict=True))
        people = dict(zip(wanted, pool.map(log_in, wanted), strict=True))
    configs = {"hub": home.kubeconfig, **children}
    servers = Servers(
        admins={place: read_login(config) for place, config in configs.items()},
        doors={place: read_login(config, bare=True) for place, config in configs.items()},
    )
    return Ground(home=home, tenants=tenants, servers=servers, people=people)


def _with_viewers(body: dict[str, Any]) -> dict[str, Any]:
    name = body["metadata"]["name"]
    people = [
        {"kind": "Group", "name": f"{name}-guests", "role": "viewer"},
        {"kind": "User", "name": f"{name}-chief", "role": "admin"},
    ]
    return {**body, "spec": {**body["spec"], "members": [*body["spec"]["members"], *people]}}
