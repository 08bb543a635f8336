"""Where the API server of a cluster is, read from the kubeconfig that Azure gives to its users. Pure.

Nothing else of that kubeconfig is used: its command is for people, and local accounts are disabled.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from atoll.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """URL and authority (PEM) of an API server."""

    server: str
    authority: str


NO_ADDRESS: Final = Address(server="", authority="")


def read_address(credentials: Mapping[str, Any]) -> Address:
    """Read the answer of listClusterUserCredential; raises Refused where no cluster with an authority is in it."""
    for item in credentials.get("kubeconfigs") or ():
        try:
            kubeconfig = yaml.safe_load(base64.b64decode(item["value"]))
            cluster = kubeconfig["clusters"][0]["cluster"]
            authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
            return Address(server=str(cluster["server"]), authority=authority)
        except (KeyError, IndexError, TypeError, ValueError, binascii.Error, yaml.YAMLError):
            continue
    raise Refused("Azure gave a kubeconfig without address or authority of the API server; the cluster is not used")
