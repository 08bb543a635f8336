"""The closed list of reasons: words that conditions, events, metrics and docs share.

Each says whose turn it is: a reason in NEEDS_A_PERSON sets `Stalled=True`, every other one is waiting or working.
"""

from __future__ import annotations

from typing import Final

READY: Final = "Ready"
AVAILABLE: Final = "Available"
PROGRESSING: Final = "Progressing"
PAUSED: Final = "Paused"
DELETING: Final = "Deleting"
ORPHANED: Final = "Orphaned"
DETACHED: Final = "Detached"
CREATING: Final = "Creating"
CHANGING: Final = "Changing"
REVERTING: Final = "Reverting"
REPAIRING: Final = "Repairing"
PREFLIGHT_FAILED: Final = "PreflightFailed"
VERIFYING: Final = "Verifying"
VERIFIED: Final = "Verified"
VERIFICATION_FAILED: Final = "VerificationFailed"
NOT_VERIFIED: Final = "NotVerified"
OPERATION_FAILED: Final = "OperationFailed"
RESTORED: Final = "Restored"
DRILL_FAILED: Final = "DrillFailed"
UNREACHABLE: Final = "Unreachable"
UNKNOWN: Final = "Unknown"
IDENTITY_MISMATCH: Final = "IdentityMismatch"
TAKEN: Final = "OwnedByAnotherFleet"
CREDENTIALS_INVALID: Final = "CredentialsInvalid"
ALLOCATED: Final = "Allocated"
ADDRESS_BLOCK_TOO_SMALL: Final = "AddressBlockTooSmall"
ADDRESS_BLOCK_OVERLAPS: Final = "AddressBlockOverlaps"
INVALID_SPEC: Final = "InvalidSpec"
PROVIDER_MISSING: Final = "ProviderNotAvailable"
NOT_IMPLEMENTED: Final = "NotYetSupported"
VERSION_UNAVAILABLE: Final = "VersionUnavailable"
DOWNGRADE_REFUSED: Final = "DowngradeRefused"
DUPLICATE_MEMBER: Final = "DuplicateMember"
MEMBERS_NOT_AVAILABLE: Final = "MembersNotAvailable"
ROLLING_OUT: Final = "RollingOut"
ROLLOUT_HALTED: Final = "RolloutHalted"
ROLLOUT_ABORTED: Final = "RolloutAborted"
SOAKING: Final = "Soaking"
GATE_CLOSED: Final = "GateClosed"
WINDOW_TOO_SHORT: Final = "WindowTooShort"
FROZEN: Final = "Frozen"
BUDGET_SPENT: Final = "FailureBudgetSpent"
UP_TO_DATE: Final = "UpToDate"
UNPLACED: Final = "Unplaced"
PLACED: Final = "Placed"
PLACEMENT_DRIFTED: Final = "PlacementDrifted"
COMPLIANT: Final = "Compliant"
NOT_COMPLIANT: Final = "NotCompliant"
ENVIRONMENT_MISSING: Final = "EnvironmentMissing"
NAMESPACE_TAKEN: Final = "NamespaceTaken"
REGIME_MISSING: Final = "RegimeMissing"
LABEL_CONFLICT: Final = "LabelConflict"
REGIMES_CONTRADICT: Final = "RegimesContradict"
IN_USE: Final = "InUse"
NO_POLICY_ENFORCEMENT: Final = "NetworkPolicyNotEnforced"
BORDER_CROSSED: Final = "BorderCrossed"
NO_NODES: Final = "NoNodes"
DELETION_PROTECTED: Final = "DeletionProtected"
HOSTS_CLAIMED: Final = "HostsClaimed"
HOSTS_LACKING: Final = "HostsLacking"
HOST_KEY_MISMATCH: Final = "HostKeyMismatch"
LOGIN_REFUSED: Final = "LoginRefused"
LOGIN_KEY_MISSING: Final = "LoginKeyMissing"
LEFTOVERS: Final = "Leftovers"
CLOCK_OFF: Final = "ClockOff"
PORT_TAKEN: Final = "PortTaken"
DISK_FULL: Final = "DiskFull"
TOO_SMALL: Final = "TooSmall"
PROGRAM_LACKING: Final = "ProgramLacking"
RUNTIME_DOWN: Final = "ContainerRuntimeDown"
PACKAGE_LOCK_HELD: Final = "PackageLockHeld"
WRONG_IMAGE: Final = "WrongImage"
CLONED: Final = "MachineIdShared"
CLEANING: Final = "Cleaning"

NEEDS_A_PERSON: Final[frozenset[str]] = frozenset(
    {
        VERIFICATION_FAILED,
        BORDER_CROSSED,
        OPERATION_FAILED,
        PREFLIGHT_FAILED,
        IDENTITY_MISMATCH,
        TAKEN,
        ADDRESS_BLOCK_TOO_SMALL,
        ADDRESS_BLOCK_OVERLAPS,
        INVALID_SPEC,
        PROVIDER_MISSING,
        NOT_IMPLEMENTED,
        VERSION_UNAVAILABLE,
        DOWNGRADE_REFUSED,
        DUPLICATE_MEMBER,
        ROLLOUT_HALTED,
        ROLLOUT_ABORTED,
        BUDGET_SPENT,
        UNPLACED,
        ENVIRONMENT_MISSING,
        NAMESPACE_TAKEN,
        REGIME_MISSING,
        WINDOW_TOO_SHORT,
        LABEL_CONFLICT,
        REGIMES_CONTRADICT,
        IN_USE,
        DELETION_PROTECTED,
        HOST_KEY_MISMATCH,
        LOGIN_REFUSED,
        LOGIN_KEY_MISSING,
        LEFTOVERS,
        CLOCK_OFF,
        PORT_TAKEN,
        DISK_FULL,
        TOO_SMALL,
        PROGRAM_LACKING,
        RUNTIME_DOWN,
        WRONG_IMAGE,
        CLONED,
    }
)
