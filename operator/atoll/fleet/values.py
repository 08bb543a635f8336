"""Small frozen values that the whole core is made of: versions, amounts, selectors, shares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import total_ordering
from types import MappingProxyType
from typing import Any, Final

import semver

NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})
"""The empty label map, shared."""


def freeze(value: Any) -> Any:
    """Turn JSON-like data into a deeply immutable twin: mapping proxies and tuples."""
    if isinstance(value, Mapping):
        return MappingProxyType({key: freeze(item) for key, item in value.items()})
    if isinstance(value, (list, tuple)):
        return tuple(freeze(item) for item in value)
    return value


def thaw(value: Any) -> Any:
    """Turn frozen data back into plain dicts and lists, as JSON and YAML want them."""
    if isinstance(value, Mapping):
        return {key: thaw(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [thaw(item) for item in value]
    return value


@total_ordering
@dataclass(frozen=True, slots=True)
class Version:
    """A Kubernetes version as people and clouds write it: `v1.36.4`, `v1.36`, `v1.36.2-eks-1-36-5`.

    A vendor suffix says who built it, not that it is older: `v1.36.2-eks-1` equals `v1.36.2` in order.
    """

    major: int
    minor: int
    patch: int | None = None
    suffix: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read a version; raises ValueError naming the text."""
        bare = text.strip().removeprefix("v")
        try:
            parsed = semver.Version.parse(bare, optional_minor_and_patch=True)
        except ValueError:
            raise ValueError(f"`{text}` is not a Kubernetes version; write it like v1.36.4") from None
        number = re.split(r"[-+]", bare, maxsplit=1)[0]
        suffix = bare[len(number) :]
        patch = parsed.patch if number.count(".") >= 2 else None
        return cls(parsed.major, parsed.minor, patch, suffix)

    def __str__(self) -> str:
        patch = "" if self.patch is None else f".{self.patch}"
        return f"v{self.major}.{self.minor}{patch}{self.suffix}"

    def __lt__(self, other: Version) -> bool:
        return (self.major, self.minor, self.patch or 0) < (other.major, other.minor, other.patch or 0)

    def is_satisfied_by(self, served: Version) -> bool:
        """Say whether a served version is this one: a minor alone is satisfied by any of its patches."""
        if (self.major, self.minor) != (served.major, served.minor):
            return False
        return self.patch is None or self.patch == served.patch


_QUANTITY = re.compile(r"^([+-]?(?:\d+(?:\.\d*)?|\.\d+))(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE][+-]?\d+)?$")
_FACTORS: Final[Mapping[str, Decimal]] = MappingProxyType(
    {
        "": Decimal(1),
        "m": Decimal("0.001"),
        **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", start=1)},
        **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
    }
)


def parse_quantity(text: str | int) -> Decimal:
    """Read a Kubernetes quantity (`500m`, `64Gi`, 4) as a number of base units; raises ValueError."""
    match = _QUANTITY.match(str(text).strip())
    if match is None:
        raise ValueError(f"`{text}` is not a quantity; write it like 500m, 4 or 64Gi")
    number, unit = match.group(1), match.group(2) or ""
    try:
        return Decimal(number) * _FACTORS[unit] if unit in _FACTORS else Decimal(number + unit)
    except InvalidOperation:
        raise ValueError(f"`{text}` is not a quantity; write it like 500m, 4 or 64Gi") from None


def format_quantity(amount: Decimal) -> str:
    """Write an amount the way an API server stores it: canonical, so that comparing needs no parsing."""
    if amount == 0:
        return "0"
    if amount != amount.to_integral_value():
        return f"{int((amount * 1000).to_integral_value(rounding='ROUND_CEILING'))}m"
    whole = int(amount)
    for power, unit in ((6, "Ei"), (5, "Pi"), (4, "Ti"), (3, "Gi"), (2, "Mi"), (1, "Ki")):
        if whole % 1024**power == 0 and whole >= 1024**power:
            return f"{whole // 1024**power}{unit}"
    return str(whole)


@dataclass(frozen=True, slots=True)
class Resources:
    """Amounts by resource name (`cpu`, `memory`, `pods`, `storage`), in base units."""

    amounts: Mapping[str, Decimal] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Mapping[str, str | int]) -> Resources:
        """Read amounts as a manifest writes them; raises ValueError naming the resource."""
        amounts: dict[str, Decimal] = {}
        for name, text in texts.items():
            try:
                amounts[name] = parse_quantity(text)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return cls(MappingProxyType(amounts))

    def get(self, name: str) -> Decimal:
        """Return one amount, 0 when it is not named."""
        return self.amounts.get(name, Decimal(0))

    def __add__(self, other: Resources) -> Resources:
        names = sorted({*self.amounts, *other.amounts})
        return Resources(MappingProxyType({name: self.get(name) + other.get(name) for name in names}))

    def __sub__(self, other: Resources) -> Resources:
        names = sorted({*self.amounts, *other.amounts})
        return Resources(MappingProxyType({name: self.get(name) - other.get(name) for name in names}))

    def scaled(self, factor: Decimal) -> Resources:
        """Return every amount times `factor`."""
        return Resources(MappingProxyType({name: amount * factor for name, amount in self.amounts.items()}))

    def lacking(self, available: Resources) -> Resources:
        """Return by how much each amount here exceeds `available`; empty when all fit."""
        missing = {name: amount - available.get(name) for name, amount in self.amounts.items()}
        return Resources(MappingProxyType({name: amount for name, amount in missing.items() if amount > 0}))

    def to_manifest(self) -> dict[str, str]:
        """Write the amounts as a manifest does, canonical and sorted."""
        return {name: format_quantity(self.amounts[name]) for name in sorted(self.amounts)}

    def __bool__(self) -> bool:
        return any(self.amounts.values())


def add_all(parts: Iterable[Resources]) -> Resources:
    """Sum amounts."""
    total = Resources()
    for part in parts:
        total = total + part
    return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One `matchExpressions` entry."""

    key: str
    operator: str
    """In | NotIn | Exists | DoesNotExist."""
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels satisfy this entry."""
        present = self.key in labels
        if self.operator == "In":
            return present and labels[self.key] in self.values
        if self.operator == "NotIn":
            return not present or labels[self.key] not in self.values
        if self.operator == "Exists":
            return present
        if self.operator == "DoesNotExist":
            return not present
        raise ValueError(f"`{self.operator}` is not a selector operator; use In, NotIn, Exists or DoesNotExist")

    def __str__(self) -> str:
        if self.operator in {"Exists", "DoesNotExist"}:
            return self.key if self.operator == "Exists" else f"!{self.key}"
        return f"{self.key} {'in' if self.operator == 'In' else 'notin'} ({', '.join(self.values)})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Selector:
    """A label selector. An empty one matches nothing: nobody destroys a fleet by forgetting a line."""

    match_labels: Mapping[str, str] = field(default_factory=dict)
    match_expressions: tuple[Requirement, ...] = ()

    def is_empty(self) -> bool:
        """Say whether it names nothing at all."""
        return not self.match_labels and not self.match_expressions

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Say whether the labels satisfy every part of a selector that is not empty."""
        if self.is_empty():
            return False
        same = all(labels.get(key) == value for key, value in self.match_labels.items())
        return same and all(requirement.matches(labels) for requirement in self.match_expressions)

    def __str__(self) -> str:
        parts = [f"{key}={value}" for key, value in sorted(self.match_labels.items())]
        return ",".join([*parts, *(str(requirement) for requirement in self.match_expressions)]) or "<empty>"


@dataclass(frozen=True, slots=True)
class Share:
    """A number, or a percentage of some total: `3` or `25%`."""

    amount: int
    percent: bool = False

    @classmethod
    def parse(cls, text: str | int) -> Share:
        """Read `3` or `25%`; raises ValueError."""
        bare = str(text).strip()
        number = bare.removesuffix("%")
        if not number.isdigit() or (bare.endswith("%") and int(number) > 100):
            raise ValueError(f"`{text}` is neither a number nor a percentage; write it like 3 or 25%")
        return cls(int(number), bare.endswith("%"))

    def of(self, total: int, *, least: int = 0) -> int:
        """Return how many of `total` that is, rounded down, but not under `least`."""
        count = self.amount * total // 100 if self.percent else self.amount
        return max(count, least)

    def __str__(self) -> str:
        return f"{self.amount}{'%' if self.percent else ''}"
