"""CEL rules for CRDs: small builders, so that every refusal speaks with one voice.

A message says which field is wrong and what to do. Rules that compare with `oldSelf` stand on required parents: inside
an optional block they never fire when the block is swapped for another.
"""

from __future__ import annotations

from typing import Any

Rule = dict[str, Any]
"""One entry of `x-kubernetes-validations`."""


def build_rule(expression: str, message: str, *, say: str = "") -> Rule:
    """Build one rule; `say` is a CEL expression for a message that quotes what was written."""
    rule: Rule = {"rule": expression, "message": message}
    if say:
        rule["messageExpression"] = say
    return rule


def build_exactly_one(path: str, *names: str) -> Rule:
    """Build the rule that exactly one of the optional fields `names` is there; `path` is what the message calls it."""
    # No lists and no optional values here: the API server cannot estimate their size and refuses the rule as too dear.
    count = " + ".join(f"(has(self.{name}) ? 1 : 0)" for name in names)
    found = " + ".join(f"(has(self.{name}) ? ' and {name}' : '')" for name in names)
    listed = ", ".join(names)
    return build_rule(
        f"{count} == 1",
        f"{path} must have exactly one of {listed}.",
        say=(
            f"{count} == 0 ? '{path} must have exactly one block; it has none. Add one of {listed}.' : "
            f"'{path} must have exactly one block; it has' + ({found}).substring(4) + '. ' + "
            f"({count} == 2 ? 'Remove one.' : 'Keep one.')"
        ),
    )


def build_same_choice(path: str, *names: str, required_parent: str) -> Rule:
    """Build the rule that the one block under `required_parent` (`self.provider`) never becomes another."""
    field = required_parent.removeprefix("self.")
    same = " && ".join(f"has(self.{field}.{name}) == has(oldSelf.{field}.{name})" for name in names)
    return build_rule(
        same,
        f"{path} cannot change its kind. Make a new object with the new kind, and remove this one.",
    )


def build_immutable(path: str, field: str, remedy: str, *, optional: bool = False) -> Rule:
    """Build the rule, for the required parent of `field`, that a field keeps the value it was made with."""
    same = f"self.{field} == oldSelf.{field}"
    if optional:
        same = f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || {same})"
    return build_rule(same, f"{path} cannot be changed. {remedy}")


def build_set_once(path: str, field: str, remedy: str) -> Rule:
    """Build the rule, for the required parent of `field`, that a text keeps its value once it is not empty."""
    return build_rule(
        f"!has(oldSelf.{field}) || oldSelf.{field} == '' || (has(self.{field}) && self.{field} == oldSelf.{field})",
        f"{path} cannot be changed once it is set. {remedy}",
    )
