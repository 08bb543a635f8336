"""The network border of a namespace: nothing in or out, but DNS and the namespace itself."""

from __future__ import annotations

from typing import Any

from atoll.fleet.decisions import Placement

from .metadata import build_metadata


def build_network_policies(placement: Placement) -> list[dict[str, Any]]:
    """Build the policies."""
    dns = {
        "to": [
            {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
                "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
            }
        ],
        "ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}],
    }
    everyone_here: list[dict[str, Any]] = [{"podSelector": {}}]
    return [
        _build(placement, "atoll-default-deny", {"policyTypes": ["Ingress", "Egress"]}),
        _build(placement, "atoll-allow-dns", {"policyTypes": ["Egress"], "egress": [dns]}),
        _build(
            placement,
            "atoll-allow-same-namespace",
            {
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [{"from": everyone_here}],
                "egress": [{"to": everyone_here}],
            },
        ),
    ]


def _build(placement: Placement, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": build_metadata(
            name, placement.namespace, tenant=placement.tenant, environment=placement.environment
        ),
        "spec": {"podSelector": {}, **spec},
    }
