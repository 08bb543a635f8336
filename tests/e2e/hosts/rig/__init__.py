"""Throw-away Linux hosts with real systemd, sshd and containerd, and what a kubeadm cluster on them is made of."""

from __future__ import annotations

from .failure import RigFailure
from .host import RigHost
from .rig import Rig
from .state import list_differences

__all__ = ["Rig", "RigFailure", "RigHost", "list_differences"]
