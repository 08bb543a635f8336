"""Regimes in a report: who demands one, who is attested for it, and which rule came from which object. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from atoll.fleet.spec import Isolation
from atoll.governance.regimes import POD_SECURITY_LEVELS
from atoll.segregation.namespace import DEFAULT_POD_SECURITY

from .report_index import Body, Index, Row, read_spec

_ORDER: Final = tuple(str(level) for level in Isolation)


def list_demands(index: Index, tenant: str, environment: str) -> dict[str, list[str]]:
    """Return who demands which regime of a placement: regime → objects."""
    found: dict[str, list[str]] = {}
    for kind, name in (("Environment", environment), ("Tenant", tenant)):
        for regime in read_spec(index.get(kind, name)).get("regimes") or ():
            found.setdefault(str(regime), []).append(f"{kind}/{name}")
    return found


def list_attestations(index: Index, child: str) -> dict[str, list[str]]:
    """Return what attests a cluster for which regime: regime → objects."""
    name = str(read_spec(index.get("ChildCluster", child)).get("setName", ""))
    member = index.member(child)
    found: dict[str, list[str]] = {}
    for regime in read_spec(index.get("ClusterSet", name)).get("regimes") or ():
        found.setdefault(str(regime), []).append(f"ClusterSet/{name}")
    for regime in member.get("regimes") or ():
        found.setdefault(str(regime), []).append(f"ClusterSet/{name} clusters[{member['name']}]")
    return found


def build_standing(index: Index, tenant: str, environment: str, child: str) -> list[Row]:
    """Tell of each regime that is in force for a placement who demands it and what attests it."""
    demanded, attested = list_demands(index, tenant, environment), list_attestations(index, child)
    return [
        {
            "name": name,
            "title": _title(index, name),
            "exists": bool(index.get("Regime", name)),
            "demandedBy": demanded.get(name, []),
            "attestedBy": attested.get(name, []),
        }
        for name in sorted({*demanded, *attested})
    ]


def build_attested(index: Index, child: str) -> list[Row]:
    """Tell for which regimes a cluster is attested, and by what."""
    return [
        {"name": name, "title": _title(index, name), "attestedBy": objects}
        for name, objects in sorted(list_attestations(index, child).items())
    ]


def build_rules(index: Index, regimes: Iterable[str], tenant: str, environment: str) -> list[Row]:
    """Tell which rules hold for a placement, each with the object that brought it."""
    rows = [
        {"rule": rule, "value": value, "from": f"Regime/{name}"}
        for name in regimes
        for rule, value in _rules_of(index.get("Regime", name))
    ]
    rows += [
        {"rule": "isolation", "value": value, "from": where} for where, value in _isolation(index, tenant, environment)
    ]
    return sorted(rows, key=lambda row: (row["rule"], row["from"]))


def build_regime_rows(index: Index) -> list[Row]:
    """Build a row for each regime that there is, and for each that is only named somewhere."""
    used: dict[str, tuple[set[str], set[str]]] = {}
    for kind in ("Environment", "Tenant"):
        for body in index.all(kind):
            for name in read_spec(body).get("regimes") or ():
                used.setdefault(str(name), (set(), set()))[0].add(f"{kind}/{body['metadata']['name']}")
    clusters: dict[str, set[str]] = {}
    for body in index.all("ChildCluster"):
        child = str(body["metadata"]["name"])
        for name, objects in list_attestations(index, child).items():
            used.setdefault(name, (set(), set()))[1].update(objects)
            clusters.setdefault(name, set()).add(child)
    return [_regime_row(index, name, used, clusters) for name in sorted({*used, *index.by_kind.get("Regime", {})})]


def allowed_countries(index: Index, regimes: Iterable[str]) -> list[str] | None:
    """Return the countries that all these regimes allow; None when none of them says anything about countries."""
    stated = [countries for name in regimes if (countries := read_spec(index.get("Regime", name)).get("countries"))]
    if not stated:
        return None
    return sorted(set.intersection(*({str(country) for country in countries} for countries in stated)))


def demanded_pod_security(index: Index, regimes: Iterable[str]) -> str:
    """Return the strictest pod security level that these regimes ask for; a missing regime asks for the strictest."""
    levels = [DEFAULT_POD_SECURITY]
    for name in regimes:
        body = index.get("Regime", name)
        levels.append(
            str(read_spec(body).get("podSecurity") or DEFAULT_POD_SECURITY) if body else POD_SECURITY_LEVELS[-1]
        )
    return max(levels, key=rank_pod_security)


def rank_pod_security(level: str) -> int:
    """Return how strict a level is; an unknown one is the laxest of all."""
    return POD_SECURITY_LEVELS.index(level) if level in POD_SECURITY_LEVELS else -1


def demanded_isolation(index: Index, regimes: Iterable[str], tenant: str, environment: str) -> str:
    """Return the strictest isolation that environment, tenant and regimes ask for."""
    levels = [level for _, level in _isolation(index, tenant, environment)]
    levels += [str(read_spec(index.get("Regime", name)).get("isolation") or _ORDER[0]) for name in regimes]
    return max([_ORDER[0], *levels], key=rank_isolation)


def rank_isolation(level: str) -> int:
    """Return how strict a level of isolation is."""
    return _ORDER.index(level) if level in _ORDER else 0


def _regime_row(
    index: Index, name: str, used: dict[str, tuple[set[str], set[str]]], clusters: dict[str, set[str]]
) -> Row:
    demanded, attested = used.get(name, (set(), set()))
    body = index.get("Regime", name)
    return {
        "name": name,
        "title": _title(index, name),
        "exists": bool(body),
        "rules": [{"rule": rule, "value": value} for rule, value in _rules_of(body)],
        "demandedBy": sorted(demanded),
        "attestedBy": sorted(attested),
        "clusters": sorted(clusters.get(name, ())),
    }


def _title(index: Index, name: str) -> str:
    return str(read_spec(index.get("Regime", name)).get("title") or "")


def _isolation(index: Index, tenant: str, environment: str) -> list[tuple[str, str]]:
    """Return what environment and tenant say about isolation themselves."""
    entries = read_spec(index.get("Tenant", tenant)).get("environments") or ()
    own = next((entry.get("isolation") for entry in entries if entry.get("name") == environment), None)
    stage = read_spec(index.get("Environment", environment)).get("isolation")
    said = ((f"Environment/{environment}", stage), (f"Tenant/{tenant}", own))
    return [(where, str(level)) for where, level in said if level]


def _rules_of(regime: Body) -> list[tuple[str, str]]:
    """Write each rule of a regime in a few words; what it leaves open is left out."""
    spec = read_spec(regime)
    upgrade, versions = spec.get("upgrade") or {}, spec.get("versions") or {}
    said: list[tuple[str, Any]] = [
        ("approvals", upgrade.get("approvals")),
        ("countries", ", ".join(sorted(spec.get("countries") or ()))),
        ("exclusive", "yes" if spec.get("exclusive") else ""),
        ("incompatibleWith", ", ".join(sorted(spec.get("incompatibleWith") or ()))),
        ("isolation", spec.get("isolation") if spec.get("isolation") != _ORDER[0] else ""),
        ("labels", ", ".join(f"{key}={value}" for key, value in sorted((spec.get("labels") or {}).items()))),
        ("maxMinorsBehind", versions.get("maxMinorsBehind")),
        ("minSoakSeconds", upgrade.get("minSoakSeconds")),
        ("podSecurity", spec.get("podSecurity")),
        ("windows", ", ".join(_tell_window(window) for window in upgrade.get("windows") or ())),
    ]
    # 0 is a bound for how far a version may lag, and no bound for the others.
    return [(rule, str(value)) for rule, value in said if value or (rule == "maxMinorsBehind" and value == 0)]


def _tell_window(window: Body) -> str:
    zone = window.get("timeZone") or "UTC"
    return f"{window.get('cron')} {zone} for {window.get('durationMinutes')} min"
