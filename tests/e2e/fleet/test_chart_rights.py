"""The operator works under exactly the rights that the chart gives it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from atoll.embedded.kubeconfig import build_token_kubeconfig
from atoll.kube.connect import Connection
from tests.support.helm import render_chart
from tests.support.home import TestHome
from tests.support.manifests import cluster_set, environment, fleet_namespace, member, tenant

pytestmark = pytest.mark.e2e

RIGHTS = {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", "ServiceAccount"}
ACCOUNT = "captain"


def refused_calls(home: TestHome, username: str) -> list[str]:
    """List what the API server forbade the operator, from the audit log."""
    lines = (home.root / "planes/management/log/audit.log").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return [
        f"{entry['verb']} {entry['requestURI']}"
        for entry in entries
        if entry["user"]["username"] == username and entry.get("responseStatus", {}).get("code") == 403
    ]


def test_a_fleet_grows_and_goes_under_the_rights_of_the_chart(home: TestHome, tmp_path: Path) -> None:
    operator = home.operator()
    operator.terminate()
    operator.wait(20)
    rendered = render_chart(
        f"--set=serviceAccount.name={ACCOUNT}", release="rel", namespace="atoll-system", version="v1.36.4"
    )
    rights = [body for body in rendered if body["kind"] in RIGHTS]
    policies = [body for body in rendered if "AdmissionPolicy" in body["kind"]]
    for body in [*rights, *policies]:
        home.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=json.dumps(body))
    # What `atoll up` itself had granted is taken away: nothing but the chart speaks for this account.
    token = home.kubectl("create", "token", ACCOUNT, "-n", "atoll-system", "--duration=1h").stdout.strip()
    management = Connection.from_kubeconfig(home.kubeconfig.read_text())
    kubeconfig = tmp_path / "captain.kubeconfig"
    kubeconfig.write_text(build_token_kubeconfig(server=management.server, ca=management.ca, token=token))
    argv = [sys.executable, "-P", "-m", "atoll.cli.main", "run", "--kubeconfig", str(kubeconfig), "--resync", "5"]

    with (tmp_path / "captain.log").open("w") as log:
        captain = subprocess.Popen(argv, env={**os.environ, **home.environment}, stdout=log, stderr=log)
        try:
            home.apply(fleet_namespace())
            home.apply(cluster_set("eu", member("a", "dev")), environment("dev"), tenant("shop", "dev"))
            home.wait_ready("tenant", "shop")
            home.wait_ready("clusterset", "eu")
            home.patch("clusterset", "eu", {"spec": {"version": "v1.36.4"}})
            home.wait(
                lambda: home.get("clusterset", "eu").get("status", {}).get("version"),
                lambda version: version == "v1.36.4",
                "the set at v1.36.4",
                seconds=90,
            )
            home.kubectl("delete", "tenant", "shop", "-n", "fleet", "--timeout=60s")
            home.kubectl("delete", "clusterset", "eu", "-n", "fleet", "--timeout=60s", seconds=90)
            home.kubectl("delete", "environment", "dev", "-n", "fleet", "--timeout=60s")
        finally:
            captain.terminate()
            captain.wait(20)

    username = f"system:serviceaccount:atoll-system:{ACCOUNT}"
    assert refused_calls(home, username) == [], (tmp_path / "captain.log").read_text()[-3000:]
