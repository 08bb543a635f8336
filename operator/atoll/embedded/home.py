"""Where the embedded state lies: one folder, `ATOLL_HOME`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

MANAGEMENT_ID: Final = "management"
"""Name of the management plane's folder; ids of children are hexadecimal, so none can take it."""


@dataclass(frozen=True, slots=True)
class Home:
    """The files below `ATOLL_HOME`."""

    root: Path

    @property
    def management_kubeconfig(self) -> Path:
        """For people: full rights on the management plane."""
        return self.root / "management.kubeconfig"

    @property
    def operator_kubeconfig(self) -> Path:
        """For the operator: exactly its own rights."""
        return self.root / "operator.kubeconfig"

    @property
    def operator_record(self) -> Path:
        """Which process the operator is."""
        return self.root / "operator.json"

    @property
    def operator_log(self) -> Path:
        """What the operator said."""
        return self.root / "operator.log"

    @property
    def lock(self) -> Path:
        """Held while `up` or `down` is at work."""
        return self.root / "lock"
