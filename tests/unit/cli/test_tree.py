"""The tree: what belongs to what, problems first, healthy siblings folded."""

import io

from atoll.cli.output import open_console
from atoll.cli.tree_model import Node, build_fleet, build_fleets, choose_next
from atoll.cli.tree_view import render_fleet

from .fleet_bodies import build, cluster, cluster_set, condition, tenant

STARTING = cluster(
    "b",
    condition("Ready", "False", "Creating", "start the API server (3/7)"),
    condition("Available", "False", "Progressing"),
    operation={"type": "Create", "step": "start the API server", "stepsDone": 3, "stepsTotal": 7},
)
LOST = cluster(
    "c",
    condition("Ready", "Unknown", "Unreachable", "no answer since 12:00: timed out"),
    condition("Available", "Unknown", "Unreachable"),
)
LAB = build(
    "Tenant",
    "lab",
    condition("Ready", "False", "Unplaced", "environment dev fits nowhere"),
    unplaced=[{"environment": "dev", "namespace": "lab--dev"}],
)


def draw(bodies, *, wide=False):
    text = io.StringIO()
    open_console(text).print(render_fleet(build_fleet("fleet", bodies), wide=wide))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def test_a_fleet_holds_sets_clusters_environments_and_tenants():
    fleet = build_fleet(
        "fleet",
        [
            tenant("shop", ("dev", "a", "Placed")),
            build("Environment", "dev"),
            cluster("a"),
            cluster_set("a", available=1),
        ],
    )

    assert fleet.to_json() == {
        "kind": "Fleet",
        "name": "fleet",
        "ready": True,
        "reason": "Ready",
        "message": "",
        "children": [
            {
                "kind": "ClusterSet",
                "name": "apps",
                "ready": True,
                "reason": "Ready",
                "message": "",
                "version": "v1.36.4",
                "detail": "1/1 available",
                "children": [
                    {
                        "kind": "ChildCluster",
                        "name": "apps--a",
                        "ready": True,
                        "reason": "Ready",
                        "message": "",
                        "version": "v1.36.4",
                        "detail": "verified 6/6",
                        "children": [
                            {
                                "kind": "Environment",
                                "name": "dev",
                                "ready": True,
                                "reason": "Ready",
                                "message": "",
                                "children": [
                                    {
                                        "kind": "Tenant",
                                        "name": "shop",
                                        "ready": True,
                                        "reason": "Placed",
                                        "message": "",
                                        "detail": "namespace shop--dev",
                                        "children": [],
                                    }
                                ],
                            }
                        ],
                    }
                ],
            }
        ],
    }


def test_problems_come_first_and_healthy_siblings_are_folded():
    names = [f"ok{index}" for index in range(8)]
    members = (*names, "b", "c")
    bodies = [
        cluster_set(*members, available=8),
        *map(cluster, names),
        STARTING,
        LOST,
        LAB,
        build("Environment", "dev"),
    ]

    assert draw(bodies) == [
        "fleet",
        "├── Tenant lab                ✗ Unplaced: environment dev fits nowhere",
        "├── ClusterSet apps  v1.36.4  ✓ 8/10 available",
        "│   ├── apps--b    v1.36.4  ◐ start the API server (3/7)",
        "│   ├── apps--c    v1.36.4  ? Unreachable: no answer since 12:00: timed out",
        "│   ├── apps--ok0  v1.36.4  ✓ verified 6/6",
        "│   ├── apps--ok1  v1.36.4  ✓ verified 6/6",
        "│   ├── apps--ok2  v1.36.4  ✓ verified 6/6",
        "│   ├── apps--ok3  v1.36.4  ✓ verified 6/6",
        "│   ├── apps--ok4  v1.36.4  ✓ verified 6/6",
        "│   └── 3 more ChildCluster ready",
        "└── Environment dev           ✓ ready",
    ]
    assert "more" not in "".join(draw(bodies, wide=True))


def test_a_cluster_says_in_its_line_whom_it_serves_and_who_waits():
    bodies = [
        cluster_set("a", available=1),
        cluster("a"),
        tenant("shop", ("dev", "a", "Placed"), ("prod", "a", "Placed")),
        tenant("pay", ("prod", "a", "Pending")),
        build("Environment", "dev"),
        build("Environment", "prod"),
    ]

    assert draw(bodies)[1:] == [
        "└── ClusterSet apps  v1.36.4  ✓ 1/1 available",
        "    └── apps--a  v1.36.4  ✓ verified 6/6   dev: shop  prod: pay waits, shop",
        "        └── Tenant pay  ◐ the emptiest of 2",
    ]


def test_a_member_without_cluster_and_a_running_rollout_belong_to_the_set():
    changing = cluster_set("a", "b", available=1, conditions=(condition("Ready", "False", "RollingOut", "apps-1"),))
    changing["status"] |= {"currentRollout": "apps-1", "version": "v1.35.8"}
    rollout = build(
        "Rollout",
        "apps-1",
        condition("Ready", "False", "RollingOut", "wave canary"),
        spec={"setName": "apps", "target": {"version": "v1.36.4"}},
        counts={"total": 2, "done": 1},
    )
    (node,) = build_fleet("fleet", [changing, rollout, cluster("a")]).children

    assert node.version == "v1.35.8 → v1.36.4"
    assert [(child.kind, child.name, child.ready) for child in node.children] == [
        ("Rollout", "apps-1", False),
        ("ChildCluster", "apps--b", False),
        ("ChildCluster", "apps--a", True),
    ]


def test_unknown_is_never_healthy():
    untouched = build("Environment", "dev") | {"status": {"observedGeneration": -1}}
    changed = build("Environment", "prod")
    changed["metadata"]["generation"] = 2
    fleet = build_fleet("fleet", [untouched, changed])

    assert [(child.name, child.ready) for child in fleet.children] == [("dev", None), ("prod", None)]
    assert (fleet.ready, fleet.message) == (None, "2 of 2 are not ready")


def test_each_namespace_is_a_fleet_of_its_own():
    other = build("Environment", "dev")
    other["metadata"]["namespace"] = "other"

    assert [fleet.name for fleet in build_fleets([other, build("Environment", "dev")])] == ["fleet", "other"]


def test_the_next_command_is_about_the_first_problem():
    healthy = build_fleet("fleet", [cluster_set("a", available=1), cluster("a")])
    sick = build_fleet("fleet", [cluster_set("a", "b", available=1), cluster("a"), STARTING])

    assert choose_next([healthy]) == ["atoll why clusterset/apps"]
    assert choose_next([sick]) == ["atoll why child/apps--b"]
    assert choose_next([Node(kind="Fleet", name="fleet", ready=True)]) == ["atoll plan -f examples/quickstart"]


def test_a_pool_shows_its_hosts_and_whose_they_are():
    def host(name, state, *conditions, owner=""):
        claim = {"claim": {"clusterID": owner, "role": "Worker"}} if owner else {}
        spec = {"poolName": "rack", "hostName": name, **claim}
        return build("Host", f"rack--{name}", *conditions, spec=spec, state=state)

    dev = cluster("a", condition("Ready", "True"), condition("Available", "True"))
    bodies = [
        dev,
        build("HostPool", "rack", condition("Ready", "True"), hosts={"total": 3, "available": 1}),
        host("h1", "Available", condition("Ready", "True")),
        host("h2", "InUse", condition("Ready", "True"), owner=dev["spec"]["id"]),
        host("h3", "Quarantined", condition("Ready", "False", "ClockOff", "its clock is 1.0 days behind ours")),
    ]

    lines = "\n".join(draw(bodies, wide=True))

    assert "1 of 3 free" in lines
    assert f"InUse: {dev['metadata']['name']} (Worker)" in lines
    assert "its clock is 1.0 days behind ours" in lines
