"""What stands, entered in the books: capacity in the ledger, neighbours in the filter."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from atoll.fleet.decisions import Candidate, Placement
from atoll.fleet.snapshot import Fleet

from .case import to_thousandths
from .filter import Filter
from .ledger import Ledger, read_quotas


def open_books(fleet: Fleet, candidates: Iterable[Candidate], kept: Iterable[Placement]) -> tuple[Ledger, Filter]:
    """Book everything that stands: what is asked for, else what its quota says."""
    asked: dict[tuple[str, str, str], Mapping[str, int]] = {}
    classes: dict[str, str] = {}
    resources = {"cpu", "memory", "pods", "storage"}
    tenants = {tenant.meta.name: tenant for tenant in fleet.tenants}
    for tenant in fleet.tenants:
        for environment, namespace, full in tenant.list_namespaces():
            need = to_thousandths(namespace.resources)
            asked[tenant.meta.name, environment.name, full] = need
            classes[full] = namespace.workload_class
            resources.update(need)
    ledger = Ledger(candidates, resources)
    sieve = Filter(fleet, ledger)
    booked: dict[str, set[str]] = defaultdict(set)
    for item in kept:
        number = ledger.index[item.cluster]
        amounts = asked.get((item.tenant, item.environment, item.namespace))
        if amounts is not None:
            ledger.spend(number, amounts)
            booked[item.cluster].add(item.namespace)
        sieve.settle(
            number,
            item.tenant,
            item.environment,
            classes.get(item.namespace, ""),
            spec=tenants.get(item.tenant),
            recorded=item.isolation,
            crowds=item.state != "Leaving",
        )
    for number, candidate in enumerate(ledger.candidates):
        if candidate.cluster in fleet.views:
            ledger.spend(number, read_quotas(fleet, candidate.cluster, booked[candidate.cluster]))
    return ledger, sieve
