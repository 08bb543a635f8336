"""The verbs of a rollout on a real management plane: approve, pause, resume, abort, retry, and watching it all."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.home import ATOLL, TestHome, open_home
from tests.support.manifests import cluster_set, fleet_namespace, member

pytestmark = pytest.mark.e2e

TEAM = "system:serviceaccounts:fleet"
"""The group that may open the gate: everybody with a ServiceAccount in the fleet's namespace."""
WAVES = [
    {
        "name": "canary",
        "clusterSelector": {"matchLabels": {"stage": "dev"}},
        "gates": [{"name": "sign-off", "approval": {"count": 1, "groups": [TEAM]}}],
    },
    {"name": "prod", "clusterSelector": {"matchLabels": {"stage": "prod"}}},
]
RIGHTS = [
    {"apiGroups": ["atoll.dev"], "resources": ["rollouts", "clustersets", "approvals"], "verbs": ["get", "list"]},
    {"apiGroups": ["atoll.dev"], "resources": ["approvals"], "verbs": ["create"]},
]
"""All that somebody needs who only approves."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestHome]:
    """A management plane with the operator on it, two children, and two people beside the one who set it up."""
    with open_home(tmp_path_factory.mktemp("home") / "atoll") as opened:
        role = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "rules": RIGHTS}
        opened.apply(
            fleet_namespace(),
            cluster_set("eu", member("dev", "dev"), member("prod", "prod"), upgrade={"waves": WAVES}),
            {**role, "metadata": {"name": "approver", "namespace": "fleet"}},
        )
        for name, namespace in (("ben", "fleet"), ("eve", "default")):
            opened.kubectl("create", "serviceaccount", name, "-n", namespace)
            account = f"--serviceaccount={namespace}:{name}"
            opened.kubectl("create", "rolebinding", name, "-n", "fleet", "--role=approver", account)
        opened.wait_ready("clusterset", "eu")
        yield opened


def log_in(home: TestHome, name: str, namespace: str) -> str:
    """Write a kubeconfig for a ServiceAccount, and return its path."""
    token = home.kubectl("create", "token", name, "-n", namespace).stdout.strip()
    config: dict[str, Any] = yaml.safe_load(home.kubeconfig.read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    path: Path = home.root.parent / f"{name}.kubeconfig"
    path.write_text(yaml.safe_dump(config))
    path.chmod(0o600)
    return str(path)


def change(home: TestHome, *capabilities: str) -> None:
    """Change what the set offers: a small change, which goes through the waves as any other."""
    home.patch("clusterset", "eu", {"spec": {"capabilities": list(capabilities)}})


def wait_gate(home: TestHome, rollout: str) -> None:
    """Wait until the first wave of a rollout waits for its gate."""

    def look() -> str:
        waves = home.get("rollout", rollout).get("status", {}).get("waves", [{}])
        return f"{waves[0].get('state')} {[gate['state'] for gate in waves[0].get('gates', ())]}"

    home.wait(look, lambda seen: seen == "Held ['Closed']", f"{rollout} to wait for its gate")


def wait_state(home: TestHome, rollout: str, state: str) -> None:
    """Wait until a rollout is in a state."""
    home.wait(
        lambda: home.get("rollout", rollout).get("status", {}).get("state"),
        lambda seen: seen == state,
        f"{rollout} to be {state}",
    )


def answer(home: TestHome, words: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `atoll …` as on a terminal where somebody types."""
    master, slave = pty.openpty()
    try:
        os.write(master, f"{words}\n".encode())
        return subprocess.run(
            [*ATOLL, *arguments],
            env=home.environment,
            stdin=slave,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(master)
        os.close(slave)


def test_where_nothing_runs_the_verbs_say_so(home: TestHome) -> None:
    seen = home.atoll("watch")
    assert (
        seen.stdout
        == "No rollout is running in fleet fleet, and none was there. One begins when a ClusterSet changes.\n"
    )

    for verb in ("approve", "retry"):
        refused = home.atoll(verb, "eu", ok=False)
        assert refused.returncode == 2
        assert "ClusterSet eu has no Rollout" in refused.stderr


def test_a_gate_opens_by_the_word_of_somebody_of_its_groups_who_did_not_ask_for_the_change(home: TestHome) -> None:
    ben, eve = log_in(home, "ben", "fleet"), log_in(home, "eve", "default")
    change(home, "mesh")
    wait_gate(home, "eu-1")

    picture = home.atoll("watch", "--once").stdout
    assert "‖ gate sign-off  closed" in picture
    assert "atoll approve eu-1 --wave canary --gate sign-off" in picture

    requester = home.atoll("approve", "eu", ok=False)
    assert requester.returncode == 2
    assert "you, atoll, asked for rollout eu-1, so your word does not count for it" in requester.stderr
    stranger = home.atoll("approve", "eu", "--kubeconfig", eve, ok=False)
    assert stranger.returncode == 2
    assert f"opens for members of {TEAM}; you are system:serviceaccount:default:eve" in stranger.stderr
    assert home.get("approval")["items"] == []

    said = home.atoll("approve", "eu", "--kubeconfig", ben).stdout
    assert said == (
        "approved: gate sign-off of wave canary, rollout eu-1, by system:serviceaccount:fleet:ben (group "
        "system:serviceaccounts:fleet)\n"
    )
    again = home.atoll("approve", "eu-1", "--wave", "canary", "--gate", "sign-off", "--kubeconfig", ben).stdout
    assert again.startswith("already approved by you, system:serviceaccount:fleet:ben: gate sign-off of wave canary")
    (approval,) = home.get("approval")["items"]
    assert approval["spec"] == {
        "rolloutRef": {"name": "eu-1", "uid": home.get("rollout", "eu-1")["metadata"]["uid"]},
        "wave": "canary",
        "gate": "sign-off",
        "approver": {"username": "system:serviceaccount:fleet:ben", "groups": [TEAM]},
    }

    ended = home.atoll("watch", "eu", "--until-done", "--timeout", "60s").stdout
    assert "wave prod done" in ended, "in a pipe: a line for each change"
    assert "rollout eu-1 → v1.35.8" in ended, "and the picture at the end"
    late = home.atoll("approve", "eu", "--kubeconfig", ben, ok=False)
    assert "rollout eu-1 is Done: nothing of it is left to approve" in late.stderr


def test_a_rollout_is_held_goes_on_ends_for_ever_and_is_tried_again(home: TestHome) -> None:
    change(home, "mesh", "faas")
    wait_gate(home, "eu-2")

    assert home.atoll("pause", "eu").stdout == "rollout eu-2 is paused: nothing more begins until it is resumed\n"
    assert home.atoll("pause", "rollout/eu-2").stdout == "rollout eu-2 is paused already\n"
    wait_state(home, "eu-2", "Paused")
    (seen,) = json.loads(home.atoll("watch", "-o", "json").stdout)["rollouts"]
    assert (seen["name"], seen["state"], seen["action"], seen["counts"]["done"]) == ("eu-2", "Paused", "Pause", 1)
    unfit = home.atoll("retry", "eu", ok=False)
    assert unfit.returncode == 2
    assert "is Paused, and neither halted nor aborted. `atoll resume eu-2` lets it go on" in unfit.stderr

    assert home.atoll("resume", "eu-2", "-o", "name").stdout == "rollout.atoll.dev/eu-2\n"
    wait_state(home, "eu-2", "Running")

    kept = answer(home, "n", "abort", "eu-2")
    assert kept.returncode == 130
    assert "would start nothing more, for ever, and revert nothing: 1 of 2 are done" in kept.stderr
    assert home.get("rollout", "eu-2")["spec"]["action"] == "Run"
    assert (
        home.atoll("abort", "eu-2").stdout == "rollout eu-2 is aborted: nothing more begins, and nothing is reverted\n"
    )
    assert home.atoll("abort", "eu-2").stdout == "rollout eu-2 is aborted already\n"
    ended = home.atoll("watch", "eu-2", "--until-done", "--timeout", "30s", ok=False)
    assert ended.returncode == 1
    assert "aborted · 1 of 2 done" in ended.stdout
    assert "atoll retry eu" in ended.stderr, "what to do next"
    refused = home.atoll("resume", "eu", ok=False)
    assert refused.returncode == 2
    assert "was aborted, which is for ever. `atoll retry eu` begins a new rollout" in refused.stderr

    assert home.atoll("retry", "eu").stdout == (
        "ClusterSet eu tries v1.35.8 again in a new rollout: spec.upgrade.retry is 1 now\n"
    )
    assert home.get("clusterset", "eu")["spec"]["upgrade"]["retry"] == 1
    assert home.get("clusterset", "eu")["spec"]["upgrade"]["waves"][0]["gates"] == WAVES[0]["gates"], "nothing else"
    wait_gate(home, "eu-3")
    home.atoll("approve", "eu", "--kubeconfig", log_in(home, "ben", "fleet"))
    done = home.atoll("watch", "eu", "--until-done", "--timeout", "60s").stdout
    assert "rollout eu-3 → v1.35.8" in done
    assert home.get("rollout", "eu-3")["status"]["state"] == "Done"
    over = home.atoll("retry", "eu", ok=False)
    assert "rollout eu-3 of ClusterSet eu is Done: there is nothing to try again" in over.stderr
