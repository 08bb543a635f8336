"""What the stories of whole rollouts share: people with names and groups, and ways to look at a rollout."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from tests.support.audit import AuditLog
from tests.support.home import TestHome
from tests.support.manifests import API_VERSION
from tests.support.people import build_kubeconfig

Json = dict[str, Any]

OLD: Final = "v1.35.8"
NEW: Final = "v1.36.4"
MANAGEMENT: Final = "management"


def log_in(home: TestHome, name: str, group: str) -> Path:
    """Write a kubeconfig of the management plane for a person: a client certificate that names user and group."""
    path = home.root.parent / f"{name}.kubeconfig"
    path.write_text(build_kubeconfig(home.root, MANAGEMENT, home.kubeconfig.read_text(), name, group))
    path.chmod(0o600)
    return path


def let_work(group: str) -> Json:
    """Bind the role that Atoll adds to the built-in `admin` of a fleet's namespace to a group."""
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": group, "namespace": "fleet"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}],
    }


def approval(rollout: Json, wave: str, gate: str, username: str, *groups: str) -> Json:
    """Build somebody's word for a gate, by hand."""
    metadata = rollout["metadata"]
    return {
        "apiVersion": API_VERSION,
        "kind": "Approval",
        "metadata": {"name": f"{metadata['name']}-by-{username}", "namespace": "fleet"},
        "spec": {
            "rolloutRef": {"name": metadata["name"], "uid": metadata["uid"]},
            "wave": wave,
            "gate": gate,
            "approver": {"username": username, "groups": list(groups)},
        },
    }


def read_waves(rollout: Json) -> dict[str, str]:
    """Return the states of a rollout's waves by name."""
    return {wave["name"]: wave["state"] for wave in rollout.get("status", {}).get("waves", ())}


def read_gates(rollout: Json, wave: str) -> dict[str, tuple[str, str]]:
    """Return state and message of a wave's gates by name."""
    waves = rollout.get("status", {}).get("waves", ())
    gates = next((entry.get("gates", ()) for entry in waves if entry["name"] == wave), ())
    return {gate["name"]: (gate["state"], gate["message"]) for gate in gates}


def wait_gates(home: TestHome, rollout: str, wave: str, *, seconds: float = 60, **states: str) -> Json:
    """Wait until gates of a wave, dashes written as underscores, are in these states; return the rollout."""
    wanted = {name.replace("_", "-"): state for name, state in states.items()}

    def is_so(body: Json) -> bool:
        found = {name: state for name, (state, _) in read_gates(body, wave).items() if name in wanted}
        return found == wanted

    return home.wait(lambda: home.get("rollout", rollout), is_so, f"gates {wanted} of {rollout}", seconds=seconds)


def wait_rollout(home: TestHome, name: str, state: str, *, seconds: float = 120) -> Json:
    """Wait until a rollout is in a state."""
    return home.wait(
        lambda: home.get("rollout", name),
        lambda body: body.get("status", {}).get("state") == state,
        f"rollout {name} to be {state}",
        seconds=seconds,
    )


def served(home: TestHome, child: str) -> tuple[str, str]:
    """Return the version that a child says it is, and the one of the program that runs."""
    version = home.kubectl("get", "--raw", "/version", kubeconfig=home.child_kubeconfig(child)).stdout
    (server,) = home.api_servers(child)
    return json.loads(version)["gitVersion"], Path(server.exe()).parent.name


def open_logs(home: TestHome, children: Iterable[str]) -> dict[str, AuditLog]:
    """Return the audit logs of the management plane and of children, marked now."""
    planes = home.root / "planes"
    ids = {MANAGEMENT: MANAGEMENT, **{name: home.get("childcluster", name)["spec"]["id"] for name in children}}
    return {name: AuditLog(planes / plane) for name, plane in ids.items()}


def list_writes(logs: dict[str, AuditLog]) -> dict[str, list[str]]:
    """Return what Atoll has written since the mark, by plane, where it has written anything; events apart."""
    found = {
        plane: [f"{write.verb} {write.path}" for write in log.writes() if write.resource != "events"]
        for plane, log in logs.items()
    }
    return {plane: writes for plane, writes in found.items() if writes}
