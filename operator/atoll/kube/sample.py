"""The sample application: what verification deploys into a child that has nodes. Pure builders.

It needs no image of its own: the cluster's DNS server is on every kubeadm cluster, and answers HTTP on its health port.
One server runs on one node; a caller runs on every node, and is ready when its node reaches the server through the
Service. So readiness of the callers proves pod network, Service and scheduling on each node.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from atoll.ports import Body

SERVER: Final = "server"
CALLER: Final = "caller"
PORT: Final = 8080
COREFILE: Final = f".:5353 {{\n    health :{PORT}\n}}\n"
_APP: Final = "app"


def build_sample(namespace: str, labels: Mapping[str, str]) -> Body:
    """Build the namespace. Probes that name a host are refused below the pod-security level `privileged`."""
    level = {"pod-security.kubernetes.io/enforce": "privileged"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {**labels, **level}}}


def build_settings(namespace: str) -> Body:
    """Build the ConfigMap that both read."""
    return _object("v1", "ConfigMap", namespace, "settings", data={"Corefile": COREFILE})


def build_service(namespace: str) -> Body:
    """Build the Service in front of the server."""
    ports = [{"port": 80, "targetPort": PORT, "protocol": "TCP"}]
    return _object("v1", "Service", namespace, SERVER, spec={"selector": {_APP: SERVER}, "ports": ports})


def build_server(namespace: str, image: str) -> Body:
    """Build the Deployment of one server; it keeps away from control planes where it can."""
    probe = {"httpGet": {"path": "/health", "port": PORT}, "periodSeconds": 1}
    away = {
        "nodeAffinity": {
            "preferredDuringSchedulingIgnoredDuringExecution": [
                {
                    "weight": 100,
                    "preference": {
                        "matchExpressions": [
                            {"key": "node-role.kubernetes.io/control-plane", "operator": "DoesNotExist"}
                        ]
                    },
                }
            ]
        }
    }
    template = _template(SERVER, image, probe, extra={"affinity": away})
    spec = {"replicas": 1, "selector": {"matchLabels": {_APP: SERVER}}, "template": template}
    return _object("apps/v1", "Deployment", namespace, SERVER, spec=spec)


def build_callers(namespace: str, image: str, address: str) -> Body:
    """Build the DaemonSet of callers; `address`: the Service's cluster IP."""
    probe = {"httpGet": {"path": "/health", "port": 80, "host": address}, "periodSeconds": 1, "timeoutSeconds": 2}
    template = _template(CALLER, image, probe, extra={})
    spec = {"selector": {"matchLabels": {_APP: CALLER}}, "template": template}
    return _object("apps/v1", "DaemonSet", namespace, CALLER, spec=spec)


def build_wall(namespace: str) -> Body:
    """Build the NetworkPolicy that lets nobody reach the server."""
    spec: dict[str, Any] = {"podSelector": {"matchLabels": {_APP: SERVER}}, "policyTypes": ["Ingress"]}
    return _object("networking.k8s.io/v1", "NetworkPolicy", namespace, "wall", spec=spec)


def _template(app: str, image: str, probe: dict[str, Any], *, extra: dict[str, Any]) -> dict[str, Any]:
    container = {
        "name": app,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "readinessProbe": probe,
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        "volumeMounts": [{"name": "settings", "mountPath": "/etc/coredns", "readOnly": True}],
    }
    spec = {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": 0,
        "tolerations": [{"operator": "Exists"}],
        "containers": [container],
        "volumes": [{"name": "settings", "configMap": {"name": "settings"}}],
        **extra,
    }
    return {"metadata": {"labels": {_APP: app}}, "spec": spec}


def _object(api_version: str, kind: str, namespace: str, name: str, **parts: Any) -> Body:
    return {"apiVersion": api_version, "kind": kind, "metadata": {"name": name, "namespace": namespace}, **parts}
