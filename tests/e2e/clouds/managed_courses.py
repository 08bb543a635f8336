"""Rollouts as people see them: who approves, what the record says, and all that was told in between."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from tests.support.binaries import find_program
from tests.support.home import MANAGEMENT_VERSION, Json, TestHome


def approve(home: TestHome, namespace: str, rollout: str, wave: str) -> None:
    """Let somebody else than the requester approve."""
    body = {
        "apiVersion": "atoll.dev/v1alpha1",
        "kind": "Approval",
        "metadata": {"name": f"{rollout}-anna", "namespace": namespace},
        "spec": {
            "rolloutRef": {
                "name": rollout,
                "uid": home.get("rollout", rollout, namespace=namespace)["metadata"]["uid"],
            },
            "wave": wave,
            "gate": "sign-off",
            "approver": {"username": "anna", "groups": ["sre"]},
        },
    }
    asked = ("--as", "anna", "--as-group", "sre", "--as-group", "system:masters")
    home.kubectl("create", "-f", "-", *asked, stdin=json.dumps(body))


def build_wave(name: str, stage: str, **more: Any) -> Json:
    """A wave of the members of a stage that a person's word ends."""
    sign_off = {"name": "sign-off", "approval": {"count": 1, "groups": ["sre"]}}
    return {"name": name, "clusterSelector": {"matchLabels": {"stage": stage}}, "gates": [sign_off], **more}


def read_record(home: TestHome, namespace: str, rollout: str) -> list[Json]:
    """Return the entries of a rollout's record, in order."""
    records = home.get("configmap", f"{rollout}-audit-1", namespace=namespace)["data"]["records"]
    return [json.loads(line) for line in records.splitlines()]


@dataclass(frozen=True, kw_only=True)
class Course:
    """How one rollout of one member went; the member is called `member`, so that courses can be compared."""

    rows: tuple[str, ...]
    """States of the member's row, one after the other; a row that has finished is none."""
    waves: tuple[str, ...]
    gates: tuple[tuple[str, str], ...]
    counts: tuple[tuple[str, int], ...]
    """In the end."""
    record: tuple[tuple[str, str, str, str], ...]
    """Event, wave, member and gate."""


class Watched:
    """All that rollouts said of themselves while somebody watched."""

    def __init__(self, home: TestHome, path: Path) -> None:
        self._home = home
        self._path = path

    @contextmanager
    def open(self) -> Iterator[Watched]:
        """Watch as long as the block lasts."""
        kubectl = str(find_program(MANAGEMENT_VERSION, "kubectl"))
        asked = ("get", "rollouts.atoll.dev", "-A", "--watch", "-o", "json")
        with self._path.open("w") as file:
            process = subprocess.Popen([kubectl, f"--kubeconfig={self._home.kubeconfig}", *asked], stdout=file)
            try:
                yield self
            finally:
                process.terminate()
                process.wait(10)

    def read(self, namespace: str, rollout: str) -> list[Json]:
        """Return the states of one rollout, oldest first."""
        # Documents end where the brace that began them is closed, at the beginning of a line.
        *whole, _ = self._path.read_text().split("\n}\n")
        found = []
        for text in whole:
            body = json.loads(text + "}")
            if (body["metadata"]["namespace"], body["metadata"]["name"]) == (namespace, rollout):
                found.append(body.get("status", {}))
        return found

    def is_over(self, namespace: str, rollout: str) -> bool:
        """Say whether the end of a rollout has been seen."""
        told = self.read(namespace, rollout)
        return bool(told) and told[-1].get("state") == "Done"

    def summarise(self, namespace: str, rollout: str, member: str) -> Course:
        """Return the course of a rollout that is over."""
        told = self.read(namespace, rollout)
        entries = read_record(self._home, namespace, rollout)
        return Course(
            rows=_drop_repeats(row["state"] for status in told for row in status.get("rows", ())),
            waves=_drop_repeats(wave["state"] for status in told for wave in status.get("waves", ())),
            gates=_drop_repeats(
                (gate["name"], gate["state"])
                for status in told
                for wave in status.get("waves", ())
                for gate in wave.get("gates", ())
            ),
            counts=tuple(sorted(told[-1]["counts"].items())),
            record=tuple(
                (
                    entry["event"],
                    entry["wave"],
                    "member" if entry["cluster"] == member else entry["cluster"],
                    entry["message"].partition(":")[0] if entry["event"].startswith("Gate") else "",
                )
                for entry in entries
            ),
        )


T = TypeVar("T")


def _drop_repeats(items: Iterable[T]) -> tuple[T, ...]:
    return tuple(item for item, _ in itertools.groupby(items))
