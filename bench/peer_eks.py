"""The plainest script that makes EKS clusters and brings them to another version: a thread for each, boto3's waiters.

`python -m bench.peer_eks URL create|change COUNT PREFIX POLL` prints the seconds that it took.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import boto3
from botocore.config import Config

from tests.cloudsim.eks import ATOLL, REGION
from tests.cloudsim.eks_kit import NODE_ROLE, ROLE, VPC

OLD, NEW = "1.35", "1.36"
GROUP = "work"


def create(eks: Any, name: str, delay: float) -> None:
    """Create a cluster, wait, a node group, wait, and tag."""
    made = eks.create_cluster(name=name, version=OLD, roleArn=ROLE, resourcesVpcConfig=dict(VPC))
    wait(eks, "cluster_active", delay, name=name)
    eks.create_nodegroup(
        clusterName=name,
        nodegroupName=GROUP,
        nodeRole=NODE_ROLE,
        subnets=VPC["subnetIds"],
        scalingConfig={"minSize": 1, "maxSize": 3, "desiredSize": 1},
    )
    wait(eks, "nodegroup_active", delay, clusterName=name, nodegroupName=GROUP)
    eks.tag_resource(resourceArn=made["cluster"]["arn"], tags={"state": "created"})


def change(eks: Any, name: str, delay: float) -> None:
    """Bring a cluster to the next version, wait, its node group, and wait."""
    eks.update_cluster_version(name=name, version=NEW)
    wait(eks, "cluster_active", delay, name=name)
    eks.update_nodegroup_version(clusterName=name, nodegroupName=GROUP, version=NEW)
    wait(eks, "nodegroup_active", delay, clusterName=name, nodegroupName=GROUP)


def wait(eks: Any, what: str, delay: float, **names: str) -> None:
    """Wait with the SDK's own waiter."""
    eks.get_waiter(what).wait(**names, WaiterConfig={"Delay": delay, "MaxAttempts": 1000})


def main(url: str, what: str, count: int, prefix: str, delay: float) -> None:
    """Do it to all at once."""
    session = boto3.Session(
        aws_access_key_id=ATOLL.access_key, aws_secret_access_key=ATOLL.secret_key, region_name=REGION
    )
    eks = session.client("eks", endpoint_url=url, config=Config(max_pool_connections=count))
    do = {"create": create, "change": change}[what]
    started = time.monotonic()
    with ThreadPoolExecutor(count) as threads:
        for future in [threads.submit(do, eks, f"{prefix}{index}", delay) for index in range(count)]:
            future.result()
    print(f"{time.monotonic() - started:.3f} {time.process_time():.3f}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], float(sys.argv[5]))
