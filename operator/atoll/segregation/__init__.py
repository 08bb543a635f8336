"""What keeps tenants apart inside a child: the objects that belong there, and the steps that lead to them. Pure."""

from .access import account_name
from .operators import Operators, find_operators
from .owner import taken_owner
from .plan import plan_member_objects
from .taken import taken_namespaces
from .wanted import wanted_objects

__all__ = [
    "Operators",
    "account_name",
    "find_operators",
    "plan_member_objects",
    "taken_namespaces",
    "taken_owner",
    "wanted_objects",
]
