"""A fleet to report on: two clusters, a regime that one tenant breaks, and a child that gives no answer."""

from __future__ import annotations

from typing import Any

from atoll.cli.report_index import Seen

from .fleet_bodies import SINCE, build, cluster, condition

Json = dict[str, Any]


def ours(kind: str, namespace: str, name: str, tenant: str = "", **labels: str) -> tuple[Any, Json]:
    """Build an object of Atoll's as a child shows it, with its key."""
    own = {"app.kubernetes.io/managed-by": "atoll", **({"atoll.dev/tenant": tenant} if tenant else {}), **labels}
    metadata = {"name": name, "labels": own, **({"namespace": namespace} if namespace else {})}
    return (kind, namespace, name), {"kind": kind, "metadata": metadata}


def inside(tenant: str, namespace: str, *, without: str = "", level: str = "restricted") -> list[tuple[Any, Json]]:
    """Build what a child holds for one namespace of a tenant."""
    objects = [
        ours("Namespace", "", namespace, tenant, **{"pod-security.kubernetes.io/enforce": level}),
        ours("RoleBinding", namespace, "atoll:developer", tenant),
        ours("ResourceQuota", namespace, "atoll", tenant),
        ours("LimitRange", namespace, "atoll", tenant),
        ours("NetworkPolicy", namespace, "atoll-default", tenant),
        ours("ServiceAccount", "atoll-system", f"{tenant}--developer", tenant),
    ]
    return [item for item in objects if item[0][0] != without]


GUARDS = [
    ours("Namespace", "", "atoll-system"),
    ours("ClusterRole", "", "atoll:developer"),
    ours("ValidatingAdmissionPolicy", "", "atoll-protect"),
]
SEEN_A = Seen(objects=dict([*GUARDS, *inside("pay", "pay--prod"), *inside("shop", "shop--prod")]))
SILENT = Seen(reason="https://127.0.0.1:1 was not seen whole within 8 s")


def check(name: str, result: str, message: str = "") -> Json:
    """Build one verification check."""
    return {"check": name, "result": result, "message": message, "time": SINCE}


def placed(name: str, *places: Json, regimes: tuple[str, ...] = (), **status: Any) -> Json:
    """Build a tenant with these placements."""
    environments = [{"name": place["environment"]} for place in places]
    spec = {"environments": environments, "regimes": list(regimes)}
    return build("Tenant", name, condition("Ready", "True"), spec=spec, placements=list(places), **status)


def place(environment: str, namespace: str, child: str, **more: Any) -> Json:
    """Build one placement in a status."""
    return {
        "environment": environment,
        "namespace": namespace,
        "cluster": child,
        "isolation": "Namespace",
        "state": "Placed",
        "since": SINCE,
        "reason": "the emptiest of 2",
        **more,
    }


def build_fleet_bodies() -> list[Json]:
    """Build the objects of the fleet, in the order in which an API server lists them."""
    return [
        build(
            "ClusterSet",
            "apps",
            spec={
                "version": "v1.36.4",
                "regimes": ["internal"],
                "deletionPolicy": "Orphan",
                "clusters": [
                    {"name": "a", "country": "DE", "region": "eu", "regimes": ["gdpr"]},
                    {"name": "b", "country": "US", "regimes": []},
                ],
            },
            version="v1.36.4",
            history=[{"rollout": "apps-1", "to": "v1.36.4", "result": "Done"}],
        ),
        cluster(
            "a",
            condition("Ready", "True"),
            condition("Verified", "True"),
            verification=[check("serves", "Passed"), check("anonymous", "Passed", "401"), check("network", "Skipped")],
            history=[
                {"type": "Create", "from": "", "to": "v1.36.4", "startedTime": SINCE, "seconds": 9, "result": "Done"}
            ],
        ),
        cluster(
            "b",
            condition("Ready", "Unknown", "Unreachable", "no answer"),
            verification=[check("serves", "Passed"), check("borders", "Failed", "lab reads shop--dev")],
            borders={
                "time": SINCE,
                "tried": 12,
                "unknown": 2,
                "redCount": 2,
                "red": [
                    {"tenant": "lab", "target": "shop", "attempt": "reads", "message": "list secrets in shop--dev"}
                ],
            },
        ),
        build("Environment", "prod", spec={"regimes": ["gdpr"], "isolation": "Namespace"}),
        build("Environment", "dev", spec={}),
        placed("pay", place("prod", "pay--prod", "apps--a"), regimes=("pci",)),
        placed(
            "shop",
            place("prod", "shop--prod", "apps--a"),
            place("dev", "shop--dev", "apps--b"),
            place("prod", "shop--prod", "apps--b", rule="country", reason="country: US is not allowed"),
        ),
        placed(
            "lab",
            unplaced=[
                {
                    "environment": "dev",
                    "namespace": "lab--dev",
                    "counts": {"capability": 2},
                    "nearest": [
                        {"cluster": "apps--b", "rule": "capability", "message": "lacks faas", "remedy": "add faas"}
                    ],
                }
            ],
        ),
        build(
            "Regime",
            "gdpr",
            spec={
                "title": "GDPR",
                "countries": ["FR", "DE"],
                "podSecurity": "restricted",
                "versions": {"maxMinorsBehind": 0},
                "upgrade": {"approvals": 2, "minSoakSeconds": 60},
                "labels": {"data": "personal"},
            },
        ),
        build("Regime", "internal", spec={"title": "Internal use"}),
        build(
            "Rollout",
            "apps-1",
            spec={"setName": "apps", "target": {"version": "v1.36.4"}, "requestedBy": "ann", "action": "Run"},
            state="Done",
            startedTime=SINCE,
            completedTime=SINCE,
            counts={"total": 2, "done": 2},
        ),
    ]


SEEN = {"apps--a": SEEN_A, "apps--b": SILENT}
