"""A management plane whose operator asks three clouds, and all the places where a secret could be told."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
import yaml

from atoll.kube.kubeconfigs import read_secret
from tests.cloudsim.core import run_cloud
from tests.cloudsim.eks_kit import unpack_token
from tests.cloudsim.sts import TOKEN_PREFIX
from tests.support.home import Json, TestHome, open_home

from .managed_clouds import SET, AksCase, CloudCase, EksCase, GkeCase
from .owner_kit import Owner

SAMPLE_SECONDS: Final = 0.3
NEEDLE: Final = 40
"""Characters of a token that are looked for: who tells a part of one has told too much."""
BEGINNINGS: Final = (TOKEN_PREFIX, "ya29.c.")
"""Of the tokens of EKS and of Google: nothing else begins so."""
FLAGS: Final[Mapping[str, str]] = {
    "ATOLL_ALLOW_CLOUD_ENDPOINTS": "true",
    "ATOLL_CLOUD_POLL": "0.3",
    "ATOLL_CLOUD_RESYNC": "2",
}


class ProcessArguments:
    """Everything that stood in the arguments of any process of this machine since it was opened."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look, name="looks at arguments", daemon=True)

    def __enter__(self) -> ProcessArguments:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10)

    def _look(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            for process in psutil.process_iter():
                try:
                    self.seen.add(" ".join(process.cmdline()))
                except psutil.Error:
                    continue


@dataclass(frozen=True, kw_only=True)
class World:
    """A management plane with the operator, and three clouds."""

    home: TestHome
    cases: Mapping[str, CloudCase]
    owner: Owner
    arguments: ProcessArguments
    folder: Path

    def cluster(self, case: CloudCase, member: str = "") -> str:
        """Return the name that a member's cluster has in its cloud."""
        body = self.home.get("childcluster", f"{SET}--{member or case.member}", namespace=case.name)
        return f"atoll-{body['spec']['id']}"

    def look_inside(self, case: CloudCase, kind: str, name: str, *, namespace: str = "") -> Json:
        """Look into a cluster as the cloud itself could; an empty dict for what is not there."""
        path = self.folder / f"{case.name}.kubeconfig"
        path.touch(mode=0o600)
        path.write_text(case.planes().planes.kubeconfig(case.key(self.cluster(case))))
        return self.home.get(kind, name, namespace=namespace, kubeconfig=path)

    def lend_program(self, case: CloudCase) -> Path:
        """Return a folder with the program that people would have: it knows a token that the cluster takes."""
        (user,) = yaml.safe_load(read_secret(self.home.get("secret", f"{case.child}-kubeconfig", namespace=case.name)))[
            "users"
        ]
        key = case.key(self.cluster(case))
        token = next(token for token in list(case.cloud.tokens_shown) if case.cloud.authenticate(key, token))
        said = {
            "apiVersion": user["user"]["exec"]["apiVersion"],
            "kind": "ExecCredential",
            "status": {"token": token},
        }
        folder = self.folder / f"programs-{case.name}"
        folder.mkdir(mode=0o700)
        (folder / "said.json").write_text(json.dumps(said))
        program = folder / user["user"]["exec"]["command"]
        program.write_text(f"#!/bin/sh\nexec cat {folder}/said.json\n")
        program.chmod(0o700)
        return folder

    def wait(
        self,
        case: CloudCase,
        look: Callable[[CloudCase], Any],
        good: Callable[[Any], bool],
        what: str,
        *,
        seconds: float = 120,
    ) -> Any:
        """Look at a cloud's fleet until what is seen is good."""
        return self.home.wait(lambda: look(case), good, f"{what} ({case.name})", seconds=seconds)

    def read_objects(self) -> dict[str, str]:
        """Return all objects of the management plane as text; content of Secrets decoded."""
        listed = self.home.kubectl("api-resources", "--verbs=list", "-o", "name").stdout.split()
        answer = self.home.kubectl("get", ",".join(listed), "-A", "-o", "json", "--show-managed-fields").stdout
        return {name_object(body): write_out(body) for body in json.loads(answer)["items"]}

    def read_logs(self) -> dict[str, str]:
        """Return what the operator said, and all that planes said and audited, those behind the clouds too."""
        texts = {str(path): path.read_text(errors="replace") for path in self.folder.rglob("*.log") if path.is_file()}
        return {**texts, "arguments of processes": "\n".join(sorted(self.arguments.seen))}


def find(needles: Sequence[str], texts: Mapping[str, str]) -> dict[str, set[int]]:
    """Say which texts hold which needles, by their numbers: a test that fails shall not tell them either."""
    found = {
        place: {number for number, needle in enumerate(needles) if needle in text} for place, text in texts.items()
    }
    return {place: numbers for place, numbers in found.items() if numbers}


def name_object(body: Json) -> str:
    metadata = body["metadata"]
    return "/".join(part for part in (body["kind"], metadata.get("namespace", ""), metadata["name"]) if part)


def write_out(body: Json) -> str:
    """Write an object with what is encoded in it."""
    if body["kind"] != "Secret":
        return json.dumps(body)
    decoded = {key: base64.b64decode(value).decode(errors="replace") for key, value in (body.get("data") or {}).items()}
    return "\n".join((json.dumps(body), *decoded.values()))


def list_needles(case: CloudCase) -> tuple[str, ...]:
    """Return what is to be looked for of all tokens that a cloud has seen: the middle and the end of each."""
    tokens = sorted(case.cloud.tokens_shown)
    signed = [unpack_token(token)[-NEEDLE:] for token in tokens if token.startswith(TOKEN_PREFIX)]
    parts = [part for token in tokens for part in (token[len(token) // 2 :][:NEEDLE], token[-NEEDLE:])]
    return (*BEGINNINGS, *parts, *signed)


@contextmanager
def open_world(folder: Path) -> Iterator[World]:
    """Open the clouds, and a home whose operator may ask them; nothing is left of any."""
    with ExitStack() as stack:
        cases: list[CloudCase] = [EksCase(folder / "eks"), GkeCase(folder / "gke"), AksCase(folder / "aks")]
        for case in cases:
            stack.enter_context(run_cloud(case.cloud))
        arguments = stack.enter_context(ProcessArguments())
        with pytest.MonkeyPatch.context() as patch:
            for name, value in FLAGS.items():
                patch.setenv(name, value)
            home = stack.enter_context(open_home(folder / "home" / "atoll", "--audit", "--resync", "2"))
        owner = Owner(home, folder / "theirs")
        stack.callback(owner.clean)
        yield World(
            home=home, cases={case.name: case for case in cases}, owner=owner, arguments=arguments, folder=folder
        )
    left = sorted(folder.glob("*/planes/*/plane.json"))
    assert left == [], "planes were left behind the clouds"
