"""What people add to kubeadm's configuration by `configRef`, merged over ours. Pure.

Our own fields are those that other parts of Atoll decide: a second opinion on them is refused and not ignored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, TypeGuard

import yaml

from atoll.errors import BadInput

from .paths import LOGIN

FIELD: Final = "spec.provider.kubeadm.configRef"

API_VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "ClusterConfiguration": "kubeadm.k8s.io/v1beta4",
        "KubeletConfiguration": "kubelet.config.k8s.io/v1beta1",
        "KubeProxyConfiguration": "kubeproxy.config.k8s.io/v1alpha1",
    }
)

_NAMES: Final = "Atoll names clusters and nodes: take it out"
_VERSION: Final = "set spec.version of the ClusterSet"
_NETWORK: Final = "it comes from the fleet's address plan: set spec.network of the ClusterSet"
_FOLDERS: Final = "Atoll looks after these files: take it out"
_LOGIN: Final = "set spec.authentication of the ClusterSet"
LOGIN_ARGUMENT: Final = "authentication-config"
LOGIN_VOLUME: Final = "atoll-authentication"
OLD_LOGIN: Final = "oidc-"
"""How the older arguments begin that say the same; no API server starts with both."""
OWN_FIELDS: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "ClusterConfiguration": MappingProxyType(
            {
                "clusterName": _NAMES,
                "kubernetesVersion": _VERSION,
                "controlPlaneEndpoint": "set spec.provider.kubeadm.controlPlaneEndpoint of the ClusterSet",
                "networking": _NETWORK,
                "certificatesDir": _FOLDERS,
                "etcd.external": "Atoll takes snapshots of the cluster's own etcd: take it out",
                "etcd.local.dataDir": _FOLDERS,
            }
        ),
        "KubeletConfiguration": MappingProxyType(
            {
                "clusterDNS": _NETWORK,
                "clusterDomain": _NETWORK,
                "podCIDR": _NETWORK,
                "staticPodPath": _FOLDERS,
                "authentication.x509": _FOLDERS,
                "authentication.anonymous": "nobody without credentials may use a kubelet: take it out",
                "authorization": "nobody without rights may use a kubelet: take it out",
            }
        ),
        "KubeProxyConfiguration": MappingProxyType(
            {"clusterCIDR": _NETWORK, "hostnameOverride": _NAMES, "clientConnection.kubeconfig": _FOLDERS}
        ),
    }
)


def parse_overrides(name: str, data: Mapping[str, str]) -> Mapping[str, Mapping[str, Any]]:
    """Read the ConfigMap `name`: kind → partial configuration. BadInput names the key, the field and the remedy."""
    found: dict[str, Mapping[str, Any]] = {}
    for key in sorted(data):
        where = f"ConfigMap {name}, key {key}"
        for document in _parse(data[key], where):
            kind = _check_document(document, where)
            if kind in found:
                raise _refuse(f"{where} is a second {kind}: write one document of each kind")
            found[kind] = {field: value for field, value in document.items() if field not in {"apiVersion", "kind"}}
    return MappingProxyType(found)


def merge(own: Mapping[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    """Return `own` with `over` laid over it: maps field by field, lists of named entries by name, all else replaced."""
    merged = dict(own)
    for key, value in over.items():
        mine = merged.get(key)
        if isinstance(mine, Mapping) and isinstance(value, Mapping):
            merged[key] = merge(mine, value)
        elif _is_named(mine) and (value == [] or _is_named(value)):
            names = {entry["name"] for entry in value}
            merged[key] = [*(entry for entry in mine or () if entry["name"] not in names), *value]
        else:
            merged[key] = value
    return merged


def _parse(text: str, where: str) -> Sequence[Any]:
    try:
        return [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        problem = getattr(error, "problem", None) or "not YAML"
        raise _refuse(f"{where} cannot be read ({problem}): write one YAML document") from None


def _check_document(document: Any, where: str) -> str:
    kind = str(document.get("kind", "")) if isinstance(document, Mapping) else ""
    if kind not in API_VERSIONS:
        kinds = ", ".join(API_VERSIONS)
        raise _refuse(f"{where} has kind {kind or '(none)'}, which Atoll writes itself or does not know: use {kinds}")
    version = document.get("apiVersion", API_VERSIONS[kind])
    if version != API_VERSIONS[kind]:
        raise _refuse(f"{where}: apiVersion of {kind} must be {API_VERSIONS[kind]} and not {version}")
    for path in _find_login(document):
        raise _refuse(f"{where}: {kind}.{path} is not yours to set: {_LOGIN}")
    for path, remedy in OWN_FIELDS[kind].items():
        if _has(document, path.split(".")):
            raise _refuse(f"{where}: {kind}.{path} is not yours to set: {remedy}")
    return kind


def _find_login(document: Mapping[str, Any]) -> Sequence[str]:
    """Return the paths of arguments and volumes by which an API server would know people otherwise."""
    server = document.get("apiServer")
    if not isinstance(server, Mapping):
        return ()
    arguments, volumes = server.get("extraArgs"), server.get("extraVolumes")
    names = [str(entry["name"]) for entry in arguments] if _is_named(arguments) else []
    taken = [name for name in names if name == LOGIN_ARGUMENT or name.startswith(OLD_LOGIN)]
    return (
        *(f"apiServer.extraArgs[{name}]" for name in taken),
        *(
            f"apiServer.extraVolumes[{entry['name']}]"
            for entry in (volumes if _is_named(volumes) else ())
            if entry["name"] == LOGIN_VOLUME or str(entry.get("mountPath", "")).rstrip("/") == LOGIN
        ),
    )


def _has(document: Any, path: Sequence[str]) -> bool:
    for part in path:
        if not isinstance(document, Mapping) or part not in document:
            return False
        document = document[part]
    return True


def _is_named(value: Any) -> TypeGuard[list[Mapping[str, Any]]]:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, Mapping) and "name" in entry for entry in value)
    )


def _refuse(message: str) -> BadInput:
    return BadInput(message, field=FIELD)
