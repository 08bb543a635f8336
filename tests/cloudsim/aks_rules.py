"""What AKS asks of values beyond their types: names, tags, numbers of nodes, networks, logins; and its defaults."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from .aks_errors import Refused, invalid_parameter, provider_error

GROUP_NAME: Final = re.compile(r"[-\w._()]{0,89}[-\w_()]")
CLUSTER_NAME: Final = re.compile(r"[a-zA-Z0-9]([-_a-zA-Z0-9]{0,61}[a-zA-Z0-9])?")
LINUX_POOL_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,11}")
WINDOWS_POOL_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,5}")
DNS_PREFIX: Final = re.compile(r"[a-zA-Z0-9]([-a-zA-Z0-9]{0,52}[a-zA-Z0-9])?")
SURGE: Final = re.compile(r"[0-9]{1,4}%?")
TAGS: Final = 50
BAD_IN_TAG: Final = frozenset("<>%&\\?/")
POOLS: Final = 100
NODE_IMAGE: Final = "AKSUbuntu-2404gen2containerd-202611.12.0"
FIXED_IN_CLUSTER: Final = ("dnsPrefix", "fqdnSubdomain", "nodeResourceGroup", "linuxProfile", "diskEncryptionSetID")
FIXED_IN_NETWORK: Final = (
    *("networkPlugin", "podCidr", "serviceCidr", "dnsServiceIP", "loadBalancerSku", "podCidrs", "serviceCidrs"),
    "ipFamilies",
)
FIXED_IN_POOL: Final = (
    *("vmSize", "osDiskSizeGB", "osDiskType", "maxPods", "osType", "vnetSubnetID", "podSubnetID", "type"),
    *("availabilityZones", "scaleSetPriority", "enableNodePublicIP"),
)


def missing(target: str) -> Refused:
    """Return the refusal of a body in which something is missing."""
    return invalid_parameter(target, f"Required parameter {target} is missing (null).")


def fixed(target: str) -> Refused:
    """Return the refusal of a change of what cannot change."""
    return provider_error(400, "PropertyChangeNotAllowed", f"Changing property '{target}' is not allowed.", target)


def check_tags(tags: Mapping[str, str], target: str) -> None:
    """Check names, values and number of tags."""
    if len(tags) > TAGS:
        raise provider_error(
            400, "InvalidTags", f"The number of tags {len(tags)} exceeds the maximum of {TAGS}.", target
        )
    for name, value in tags.items():
        if (
            not 1 <= len(name) <= 512
            or BAD_IN_TAG & set(name)
            or name.lower().startswith(("microsoft", "azure", "windows"))
        ):
            raise provider_error(
                400,
                "InvalidTagNameCharacters",
                f"The tag names '{name}' have reserved characters '<,>,%,&,\\,?,/' or control characters, a reserved "
                "prefix or a wrong length.",
                target,
            )
        if len(value) > 256:
            raise provider_error(400, "InvalidTagValue", f"The value of tag '{name}' exceeds 256 characters.", target)
    if len({name.lower() for name in tags}) < len(tags):
        raise provider_error(400, "InvalidTags", "Two tag names differ in nothing but case.", target)


def check_pool(name: str, given: Mapping[str, Any]) -> None:
    """Check the properties of one pool (with defaults)."""
    windows = given["osType"] == "Windows"
    if not (WINDOWS_POOL_NAME if windows else LINUX_POOL_NAME).fullmatch(name):
        raise invalid_parameter(
            "agentPoolProfile.name", f"The value of parameter agentPoolProfile.name is invalid: {name}."
        )
    check_tags(given.get("tags") or {}, "agentPoolProfile.tags")
    if given.get("count") is None:
        raise missing("agentPoolProfile.count")
    least = 1 if given["mode"] == "System" else 0
    _check_count(given, least)
    if not 10 <= given["maxPods"] <= 250:
        raise invalid_parameter("agentPoolProfile.maxPods", f"maxPods was {given['maxPods']}; it must be 10 to 250.")
    if windows and given["mode"] == "System":
        raise invalid_parameter("agentPoolProfile.osType", "A system pool must run Linux.")
    for field in ("maxSurge", "maxUnavailable"):
        amount = given["upgradeSettings"].get(field, "0")
        if not SURGE.fullmatch(amount) or (amount.endswith("%") and not 1 <= int(amount[:-1]) <= 100):
            raise invalid_parameter(
                f"agentPoolProfile.upgradeSettings.{field}",
                f"{field} was {amount!r}; it must be a number or 1% to 100%.",
            )
    if {given["upgradeSettings"].get(field, "0") for field in ("maxSurge", "maxUnavailable")} <= {"0", "0%"}:
        raise invalid_parameter("agentPoolProfile.upgradeSettings", "maxSurge and maxUnavailable cannot both be 0.")


def _check_count(given: Mapping[str, Any], least: int) -> None:
    scaling = bool(given.get("enableAutoScaling"))
    bounds = (given.get("minCount"), given.get("maxCount"))
    if not scaling and bounds != (None, None):
        raise invalid_parameter(
            "agentPoolProfile.minCount", "minCount and maxCount can only be set when enableAutoScaling is true."
        )
    if scaling and None in bounds:
        raise missing("agentPoolProfile.minCount" if bounds[0] is None else "agentPoolProfile.maxCount")
    low, high = (bounds[0] or 0, bounds[1] or 0) if scaling else (least, 1000)
    if scaling and not least <= low <= high <= 1000:
        raise invalid_parameter(
            "agentPoolProfile.minCount", f"minCount {low} and maxCount {high} must be {least} to 1000, in this order."
        )
    if not low <= given["count"] <= high:
        raise invalid_parameter(
            "agentPoolProfile.count",
            f"agentPoolProfile.count was {given['count']}. It must be greater or equal to minCount:{low} and less than "
            f"or equal to maxCount:{high}.",
        )


def check_system_pool(modes: Iterable[Any]) -> None:
    """Refuse a cluster without a system pool."""
    if "System" not in set(modes):
        raise invalid_parameter("agentPoolProfile.mode", "Must define at least one system pool.")


def check_cluster(given: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Check a cluster's properties (with defaults) and what stands beside them."""
    check_tags(body.get("tags") or {}, "tags")
    if not DNS_PREFIX.fullmatch(given.get("dnsPrefix") or ""):
        if not given.get("dnsPrefix"):
            raise missing("dnsPrefix")
        raise invalid_parameter("dnsPrefix", f"The value of parameter dnsPrefix is invalid: {given['dnsPrefix']}.")
    if len(given["nodeResourceGroup"]) > 80:
        raise invalid_parameter(
            "nodeResourceGroup", "The length of the node resource group name exceeds 80 characters."
        )
    if (body.get("identity") or {}).get("type", "None") == "None" and not given.get("servicePrincipalProfile"):
        raise missing("servicePrincipalProfile")
    login = given.get("aadProfile")
    if given["disableLocalAccounts"] and not login:
        raise provider_error(400, "BadRequest", "disableLocalAccounts can only be true when aadProfile is set.")
    if login and login.get("enableAzureRBAC") and not login.get("managed"):
        raise provider_error(400, "BadRequest", "enableAzureRBAC can only be true when aadProfile.managed is true.")
    if (
        login
        and login.get("managed")
        and any(login.get(name) for name in ("clientAppID", "serverAppID", "serverAppSecret"))
    ):
        raise provider_error(
            400, "BadRequest", "Managed Entra integration takes no clientAppID, serverAppID or secret."
        )
    check_network(given["networkProfile"])


def check_network(profile: Mapping[str, Any]) -> None:
    """Check the address blocks."""
    blocks = {}
    for field in ("podCidr", "serviceCidr"):
        if profile.get(field):
            try:
                blocks[field] = ipaddress.ip_network(profile[field])
            except ValueError as error:
                target = f"networkProfile.{field}"
                raise invalid_parameter(target, f"The value of parameter {target} is invalid: {error}.") from error
    service, pods = blocks.get("serviceCidr"), blocks.get("podCidr")
    if service and pods and service.overlaps(pods):
        raise invalid_parameter("networkProfile.podCidr", "The pod CIDR and the service CIDR overlap.")
    if service and ipaddress.ip_address(profile["dnsServiceIP"]) not in service:
        raise invalid_parameter("networkProfile.dnsServiceIP", "dnsServiceIP must be within serviceCidr.")
    if service and profile["dnsServiceIP"] == str(service[1]):
        raise invalid_parameter("networkProfile.dnsServiceIP", "dnsServiceIP is the first address of serviceCidr.")


def build_cluster_properties(
    given: Mapping[str, Any], group: str, name: str, location: str, tenant: str
) -> dict[str, Any]:
    """Return a cluster's properties with AKS' own defaults; without its pools."""
    network = {
        "networkPlugin": "azure",
        "networkPluginMode": "overlay",
        "loadBalancerSku": "standard",
        "outboundType": "loadBalancer",
        "podCidr": "10.244.0.0/16",
        "serviceCidr": "10.0.0.0/16",
        "dnsServiceIP": "10.0.0.10",
        "ipFamilies": ["IPv4"],
        **(given.get("networkProfile") or {}),
    }
    network.setdefault("podCidrs", [network["podCidr"]])
    network.setdefault("serviceCidrs", [network["serviceCidr"]])
    wanted = {
        "nodeResourceGroup": f"MC_{group}_{name}_{location}",
        "enableRBAC": True,
        "supportPlan": "KubernetesOfficial",
        "disableLocalAccounts": False,
        "oidcIssuerProfile": {"enabled": False},
        **{key: value for key, value in given.items() if key not in ("agentPoolProfiles", "networkProfile", "status")},
        "networkProfile": network,
        "autoUpgradeProfile": {
            "upgradeChannel": "none",
            "nodeOSUpgradeChannel": "NodeImage",
            **(given.get("autoUpgradeProfile") or {}),
        },
    }
    if wanted.get("aadProfile"):
        wanted["aadProfile"] = {"adminGroupObjectIDs": [], "tenantID": tenant, **wanted["aadProfile"]}
    return wanted


def build_pool_properties(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return a pool's properties with AKS' own defaults."""
    wanted = {
        "vmSize": "Standard_D4ds_v5",
        "osDiskSizeGB": 128,
        "osDiskType": "Managed",
        "kubeletDiskType": "OS",
        "maxPods": 250,
        "type": "VirtualMachineScaleSets",
        "mode": "User",
        "osType": "Linux",
        "osSKU": "Ubuntu",
        "enableAutoScaling": False,
        "enableNodePublicIP": False,
        "enableFIPS": False,
        "scaleDownMode": "Delete",
        "powerState": {"code": "Running"},
        **{key: value for key, value in given.items() if key not in ("name", "nodeImageVersion", "status")},
    }
    wanted["upgradeSettings"] = {"maxSurge": "10%", "maxUnavailable": "0", **(given.get("upgradeSettings") or {})}
    return wanted


def check_unchanged(old: Mapping[str, Any], new: Mapping[str, Any], fields: Iterable[str], target: str) -> None:
    """Refuse a change of one of these fields."""
    for field in fields:
        if old.get(field) != new.get(field):
            raise fixed(f"{target}.{field}")
