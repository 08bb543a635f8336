"""The clouds' programs with which people log in to managed clusters, as Atoll publishes them. No other one is run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from atoll.errors import Refused

_WORD: Final = r"[A-Za-z0-9][A-Za-z0-9-]{0,99}"
_PROGRAMS: Final[Mapping[str, re.Pattern[str]]] = MappingProxyType(
    {
        "aws": re.compile(rf"--region {_WORD} eks get-token --cluster-name {_WORD} --output json"),
        "gke-gcloud-auth-plugin": re.compile(""),
        "kubelogin": re.compile(rf"get-token --login azurecli --server-id {_WORD}( --tenant-id {_WORD})?"),
    }
)
"""Name → its arguments."""


def check_program(plugin: Mapping[str, Any], where: str) -> None:
    """Check the `exec` block of a user; raises Refused, because whoever may write a Secret could have put it there."""
    command, arguments = plugin.get("command"), plugin.get("args") or []
    known = _PROGRAMS.get(command) if isinstance(command, str) else None
    plain = isinstance(arguments, list) and all(isinstance(word, str) and " " not in word for word in arguments)
    if known is None or not plain or plugin.get("env") or not known.fullmatch(" ".join(arguments)):
        raise Refused(
            f"{where} would run a program on this machine, and not one of those that Atoll publishes "
            f"({', '.join(_PROGRAMS)}) with their arguments as Atoll writes them. Who changed the Secret?"
        )
