"""What stands in the clusters before the attempts begin, and everybody who makes them."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.e2e.tenancy.escapes import (
    OTHERS,
    OWN,
    body,
    config_map,
    deployment,
    get,
    path,
    pod,
    post,
    service,
    token_request,
)
from tests.e2e.tenancy.escapes_client import Call, Caller, Json, Login, read_login
from tests.e2e.tenancy.escapes_guards import until
from tests.e2e.tenancy.escapes_identity import signing_request
from tests.e2e.tenancy.escapes_run import Who
from tests.support.manifests import tenant

if TYPE_CHECKING:
    from tests.e2e.tenancy.conftest import Ground

_CERTIFICATES = "certificates.k8s.io/v1"


def prepare(ground: Ground) -> Mapping[str, Who]:
    """Fill the namespaces, delete Tenant ghost and make it again, and return everybody."""
    people = dict(ground.people)
    people.update(asyncio.run(_fill(ground)))
    people["old ghost admin"], people["old ghost developer"] = people.pop("ghost admin"), people.pop("ghost developer")
    people["new ghost admin"] = _bring_back_ghost(ground)
    asyncio.run(_wait_for_the_end_of(ground, people["old ghost admin"]))
    people.update(_build_strangers(people["shop admin"].token))
    return people


async def _fill(ground: Ground) -> Mapping[str, Who]:
    admin = ground.servers.admins["one"]
    async with Caller() as caller:

        async def make(login: Login, call: Call) -> Json:
            answer = await caller.send(login, call)
            assert answer.accepted, f"{call.path}: {answer}"
            return answer.body

        for name, namespace in (("shop admin", OWN), ("shop-x admin", OTHERS), ("ghost admin", "ghost--dev")):
            login = ground.servers.log_in(ground.people[name])
            await make(login, post(path(namespace, "configmaps"), config_map("board")))
            await make(login, post(path(namespace, "secrets"), body("Secret", "key", stringData={"key": namespace})))
            await make(login, post(path(namespace, "services"), service("web")))
            await make(login, post(path(namespace, "serviceaccounts"), body("ServiceAccount", "robot")))
            await make(login, post(path(namespace, "deployments", group="apps"), deployment("app")))
            if namespace != "ghost--dev":
                await make(login, post(path(namespace, "pods"), pod("idle")))
        shop = ground.servers.log_in(ground.people["shop admin"])
        for name in ("shop--admin", "shop-x--admin"):
            await make(shop, post(path("shop--dev-x", "serviceaccounts"), body("ServiceAccount", name)))
        await make(admin, post(path("", "namespaces"), body("Namespace", "legacy")))
        foreign = body("PriorityClass", "foreign", group="scheduling.k8s.io/v1", value=1000)
        await make(admin, post(path("", "priorityclasses", group="scheduling.k8s.io/v1"), foreign))
        volume = {
            "capacity": {"storage": "1Gi"},
            "accessModes": ["ReadWriteOnce"],
            "persistentVolumeReclaimPolicy": "Retain",
            "hostPath": {"path": "/others"},
        }
        await make(admin, post(path("", "persistentvolumes"), body("PersistentVolume", "others", spec=volume)))
        waiting = signing_request("waiting", "planted", "planted")
        await make(admin, post(path("", "certificatesigningrequests", group=_CERTIFICATES), waiting))

        async def mint(namespace: str, name: str) -> Who:
            call = post(path(namespace, "serviceaccounts", name, "token"), token_request())
            return Who(place="one", token=(await make(admin, call))["status"]["token"])

        return {
            "robot in shop--dev": await mint(OWN, "robot"),
            "robot in ghost--dev": await mint("ghost--dev", "robot"),
            "namesake in shop--dev-x": await mint("shop--dev-x", "shop--admin"),
            "impostor in shop--dev-x": await mint("shop--dev-x", "shop-x--admin"),
        }


def _bring_back_ghost(ground: Ground) -> Who:
    """Delete the Tenant, whose namespace stays, and make one of its name, which wants that namespace and a new one."""
    home = ground.home
    home.kubectl("delete", "tenant", "ghost", "-n", "fleet", "--timeout=60s")
    home.apply(tenant("ghost", "dev", "dev-x"))

    def look() -> str:
        done = home.atoll("kubeconfig", "eu--one", "-n", "fleet", "--tenant", "ghost", "--role", "admin", ok=False)
        return done.stdout if done.returncode == 0 else ""

    def placed() -> list[str]:
        places = home.get("tenant", "ghost").get("status", {}).get("placements", ())
        return [place["namespace"] for place in places if place["state"] == "Placed"]

    home.wait(placed, lambda names: "ghost--dev-x" in names, "the new ghost to be placed")
    home.wait(look, bool, "credentials of the new ghost")
    config = home.child_kubeconfig("eu--one", "--tenant", "ghost", "--role", "admin")
    return Who(place="one", token=read_login(config).token)


async def _wait_for_the_end_of(ground: Ground, who: Who) -> None:
    """API servers remember for ten seconds that a token was good."""
    async with Caller() as caller:
        login = ground.servers.log_in(who)
        await until(lambda: caller.send(login, get("/api")), lambda answer: answer.status == 401, 15)


def _build_strangers(token: str) -> Mapping[str, Who]:
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    other = json.loads(json.dumps(claims).replace("shop--admin", "shop-x--admin"))
    password = base64.b64encode(b"admin:admin").decode()
    in_name_of = {"somebody of ghost-leads": ("somebody", "ghost-leads"), "ghost-chief": ("ghost-chief", "")}
    return {
        "unsigned shop-x admin": Who(place="one", token=f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{_encode(other)}."),
        "edited shop admin": Who(place="one", token=f"{head}.{_encode(other)}.{signature}"),
        "cut shop admin": Who(place="one", token=f"{head}.{payload}."),
        "nobody": Who(place="one"),
        "password": Who(place="one", headers={"Authorization": f"Basic {password}"}),
        "proxied": Who(place="one", headers={"X-Remote-User": "admin", "X-Remote-Group": "system:masters"}),
        **{
            name: Who(
                place="one",
                by_admin=True,
                headers={"Impersonate-User": user, **({"Impersonate-Group": group} if group else {})},
            )
            for name, (user, group) in in_name_of.items()
        },
    }


def _encode(claims: Json) -> str:
    return base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
