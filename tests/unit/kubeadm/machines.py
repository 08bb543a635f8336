"""Machines in memory on which kubeadm, kubelet and containerd do what the provider relies on, and no more.

A command that nobody taught them fails the test: what is sent to hosts shall be known.
"""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from atoll.errors import Refused
from atoll.fleet.authentication import digest_file
from atoll.hosts.access import HostAccess
from atoll.hosts.command import Command, Result
from atoll.hosts.fake import FakeHost
from atoll.ports import ClusterRef, WantedCluster
from atoll.providers.kubeadm.surroundings import ClaimedHost

SANDBOX = "registry.k8s.io/pause:3.6"
PROGRAMS = ("kubeadm", "kubelet", "kubectl", "etcdctl", "etcdutl")
FOREVER = 3600.0


def make_certificate(start: datetime) -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "kubernetes")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, start, start + timedelta(days=365))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


CERTIFICATE = make_certificate(datetime(2026, 11, 21, tzinfo=UTC))
RENEWED = make_certificate(datetime(2027, 9, 1, tzinfo=UTC))


def make_bundle(root: Path, version: str) -> None:
    """Write a bundle of tiny files."""
    for program in PROGRAMS:
        path = root / version / "bin" / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{program} {version}")
    images = [
        f"{name}:{version}" for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy")
    ]
    minor = version.split(".")[1]
    for image in [*images, f"etcd:3.6.{minor}", f"coredns/coredns:v1.{minor}", f"pause:3.{minor}"]:
        name = f"registry.k8s.io/{image}"
        path = root / version / "images" / f"{image.partition(':')[0].rpartition('/')[2]}.tar"
        path.parent.mkdir(parents=True, exist_ok=True)
        manifest = json.dumps([{"RepoTags": [name]}]).encode()
        with tarfile.open(path, "w") as archive:
            entry = tarfile.TarInfo("manifest.json")
            entry.size = len(manifest)
            archive.addfile(entry, io.BytesIO(manifest))


@dataclass(kw_only=True)
class Node:
    """A node as the API server has it."""

    version: str
    pod_cidr: str
    unschedulable: bool = False
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(kw_only=True)
class World:
    """One cluster that may come to be, and how often what was done to its machines."""

    bundle: Path
    nodes: dict[str, Node] = field(default_factory=dict)
    api_version: str = ""
    identity: int = 0
    """Which init made the cluster that lives now."""
    inits: int = 0
    tokens: set[str] = field(default_factory=set)
    ran: list[tuple[str, str]] = field(default_factory=list)
    """(host, program and verb) of what must not happen twice."""
    arguments: list[str] = field(default_factory=list)
    """Every argument of every command: what other users of a host could see."""
    certificate: str = CERTIFICATE
    blocked: str = ""
    """What kubectl prints instead of draining."""
    machines: dict[str, Machine] = field(default_factory=dict)
    silent_issuer: bool = False
    taken: list[str] = field(default_factory=list)
    """Texts by which the API server has known people, the newest last."""

    def add(self, name: str) -> Machine:
        self.machines[name] = Machine(world=self, name=name)
        return self.machines[name]


@dataclass(kw_only=True)
class Machine:
    """One machine."""

    world: World
    name: str
    images: set[str] = field(default_factory=set)
    tables: set[str] = field(default_factory=set)
    active: set[str] = field(default_factory=lambda: {"containerd"})
    routes: set[str] = field(default_factory=set)
    slow: dict[str, float] = field(default_factory=dict)
    """Program and verb → how many seconds it takes before it does anything."""
    host: FakeHost = field(init=False)

    def __post_init__(self) -> None:
        self.host = FakeHost(answer=self.answer, name=f"rack--{self.name}")

    async def answer(self, command: Command) -> Result:
        """Do what the command does."""
        self.world.arguments += command.argv
        argv = [word for word in command.argv if not word.startswith("--")]
        program = argv[0].rpartition("/")[2]
        verb = f"{program} {argv[1]}" if len(argv) > 1 else program
        if verb in self.slow:
            await asyncio.sleep(self.slow[verb])
        return getattr(self, f"_{program}")(list(command.argv), command)

    # -- files ---------------------------------------------------------------------------------------------------

    def _sh(self, argv: list[str], command: Command) -> Result:
        script, arguments = argv[2], argv[4:]
        files = self._files()
        if 'cat -- "$1"' in script and "sha256sum" not in script:
            return Result(code=0, out=files.get(arguments[0], ""))
        if "sha256sum" in script:
            content = files.get(arguments[0], "")
            return Result(code=0, out=f"{digest_file(content)}  {arguments[0]}\n" if content else "")
        if "last_config_info" in script:
            return Result(code=0, out=f"{self._take()}\n")
        if 'for path in "$@"' in script:
            there = [path for path in arguments if any(self._is_at(file, path) for file in files)]
            return Result(code=0, out="".join(f"{path}\n" for path in there))
        if "ls -1A" in script:
            folder = f"{arguments[0]}/"
            names = {file.removeprefix(folder).partition("/")[0] for file in files if file.startswith(folder)}
            return Result(code=0, out="".join(f"{name}\n" for name in sorted(names)))
        if "client-certificate-data" in script:
            return Result(code=0, out=self.world.certificate if "/etc/kubernetes/admin.conf" in files else "")
        if "kubeadm config images list" in script:
            lacking = [name for name in ("kube-apiserver", "etcd") if not any(name in image for image in self.images)]
            return Result(code=1 if lacking else 0, err=f"the bundle lacks: {lacking}")
        if '"$@" > "$file.new"' in script:
            self.host.files[arguments[0]] = yaml.safe_dump(
                {
                    "clusters": [{"name": "c", "cluster": {"server": f"identity-{self.world.identity}"}}],
                    "users": [{"name": "u", "user": {"client-key-data": "SECRET"}}],
                }
            )
            return Result(code=0)
        if "note()" in script:
            left = [file for file in files if file.startswith(("/etc/kubernetes", "/usr/bin", "/etc/cni"))]
            return Result(code=1 if left else 0, err=f"still there: {left}")
        assert any(word in script for word in ("tasks", "iptables", "-type d")), script
        return Result(code=0)

    def _take(self) -> str:
        """Let the API server take the file that is there, if its issuer answers; return what it works by."""
        text = self.host.files["/etc/kubernetes/atoll/authentication.json"]
        if not self.world.silent_issuer or not json.loads(text)["jwt"]:
            self.world.taken = [*self.world.taken, text] if self.world.taken[-1:] != [text] else self.world.taken
        return digest_file(self.world.taken[-1])

    def _files(self) -> Mapping[str, str]:
        owner = {"/var/lib/atoll/owner.json": json.dumps({"clusterID": self.host.owner})} if self.host.owner else {}
        return {**self.host.files, **owner}

    def installed(self, program: str) -> str:
        """Return the version of an installed program; empty when there is none."""
        return self.host.files.get(f"/usr/bin/{program}", "").partition(" ")[2]

    @staticmethod
    def _is_at(file: str, path: str) -> bool:
        return file == path or file.startswith(f"{path}/")

    def _install(self, argv: list[str], command: Command) -> Result:
        self.host.files[argv[-1]], self.host.modes[argv[-1]] = self.host.files[argv[-2]], 0o755
        return Result(code=0)

    def _mkdir(self, argv: list[str], command: Command) -> Result:
        return Result(code=0)

    def _mv(self, argv: list[str], command: Command) -> Result:
        self.host.files[argv[-1]] = self.host.files.pop(argv[-2])
        return Result(code=0)

    def _find(self, argv: list[str], command: Command) -> Result:
        for file in [file for file in self.host.files if file.startswith(f"{argv[1]}/")]:
            del self.host.files[file]
        return Result(code=0)

    def _cat(self, argv: list[str], command: Command) -> Result:
        return Result(code=0, out="0\n")

    def _df(self, argv: list[str], command: Command) -> Result:
        return Result(
            code=0, out="Filesystem 1-blocks Used Available Capacity Mounted on\n/dev/x 9 1 9000000000 1% /\n"
        )

    # -- system --------------------------------------------------------------------------------------------------

    def _true(self, argv: list[str], command: Command) -> Result:
        return Result(code=0)

    _sysctl = _modprobe = _true

    def _systemctl(self, argv: list[str], command: Command) -> Result:
        verb, units = argv[1], [word for word in argv[2:] if not word.startswith("--")]
        if verb == "is-active":
            return Result(code=0, out="".join("active\n" if unit in self.active else "inactive\n" for unit in units))
        if verb in {"start", "restart"}:
            self.active |= set(units)
        if verb == "stop" or (verb == "disable" and "--now" in argv):
            self.active -= set(units)
        unit = self.host.files.get("/etc/systemd/system/atoll-routes.service", "")
        if "atoll-routes.service" in units and verb in {"restart", "disable"}:
            lines = [line.split()[3:] for line in unit.splitlines() if line.startswith("ExecStart=ip route")]
            self.routes = {" ".join(line) for line in lines} if verb == "restart" else set()
        if "kubelet" in units and verb in {"start", "restart"} and self.name in self.world.nodes:
            self.world.nodes[self.name].version = self.installed("kubelet")
        return Result(code=0)

    def _ip(self, argv: list[str], command: Command) -> Result:
        return Result(code=0, out="".join(f"{route} dev host0\n" for route in sorted(self.routes)))

    def _nft(self, argv: list[str], command: Command) -> Result:
        if argv[1] == "delete":
            self.tables.discard(" ".join(argv[3:]))
            return Result(code=0)
        return Result(code=0, out="".join(f"table {table}\n" for table in sorted(self.tables)))

    def _containerd(self, argv: list[str], command: Command) -> Result:
        return Result(code=0, out=f'    sandbox_image = "{SANDBOX}"\n')

    def _ctr(self, argv: list[str], command: Command) -> Result:
        words = [word for word in argv if not word.startswith("-")]
        verb, last = words[words.index("images") + 1], argv[-1]
        if verb == "ls":
            return Result(code=0, out="".join(f"{image}\n" for image in sorted(self.images)))
        if verb == "import":
            with tarfile.open(fileobj=io.BytesIO(self.host.files[last].encode("latin-1"))) as archive:
                manifest = archive.extractfile("manifest.json")
                assert manifest is not None
                self.images |= set(json.loads(manifest.read())[0]["RepoTags"])
        if verb == "tag":
            self.images.add(last)
        if verb == "rm":
            self.images.discard(last)
        return Result(code=0)

    def _kubelet(self, argv: list[str], command: Command) -> Result:
        return Result(code=0, out=f"Kubernetes {self.installed('kubelet')}\n")

    # -- kubeadm -------------------------------------------------------------------------------------------------

    def _kubeadm(self, argv: list[str], command: Command) -> Result:
        verb = argv[1] if argv[1] != "upgrade" else f"upgrade {argv[2]}"
        self.world.ran.append((self.name, verb))
        if verb == "certs":
            self.world.certificate = RENEWED
            return Result(code=0)
        document = [*yaml.safe_load_all(self.host.files[argv[argv.index("--config") + 1]])]
        match verb:
            case "init":
                return self._init(document)
            case "join":
                return self._join(document[0])
            case "reset":
                for file in [file for file in self.host.files if file.startswith("/etc/kubernetes")]:
                    del self.host.files[file]
                self.active.discard("kubelet")
                self.world.nodes.pop(self.name, None)
            case "upgrade apply":
                self.world.api_version = document[0]["apply"]["kubernetesVersion"]
                self._write_manifest()
        return Result(code=0)

    def _init(self, documents: list[dict]) -> Result:
        if "/etc/kubernetes/admin.conf" in self.host.files:
            return Result(code=1, err="[ERROR FileAvailable--etc-kubernetes-admin.conf]")
        self.world.inits += 1
        self.world.identity = self.world.inits
        self.world.nodes.clear()
        self.world.api_version = documents[1]["kubernetesVersion"]
        self.world.tokens.add(documents[0]["bootstrapTokens"][0]["token"])
        self.host.files["/etc/kubernetes/admin.conf"] = "admin"
        for argument in documents[1]["apiServer"].get("extraArgs", ()):
            if argument["name"] == "authentication-config":
                self.world.taken = [self.host.files[argument["value"]]]
        self.host.files["/etc/kubernetes/pki/ca.crt"] = CERTIFICATE
        self._write_manifest()
        self._register(documents[0]["nodeRegistration"]["name"])
        return Result(code=0)

    def _join(self, document: dict) -> Result:
        token = document["discovery"]["bootstrapToken"]["token"]
        if "/etc/kubernetes/kubelet.conf" in self.host.files:
            return Result(code=1, err="[ERROR FileAvailable--etc-kubernetes-kubelet.conf]")
        if token not in self.world.tokens:
            return Result(code=1, err="the token is invalid for this cluster or it has expired")
        self._register(document["nodeRegistration"]["name"])
        return Result(code=0)

    def _register(self, name: str) -> None:
        self.host.files["/etc/kubernetes/kubelet.conf"] = "kubelet"
        self.active.add("kubelet")
        number = len(self.world.nodes)
        self.world.nodes[name] = Node(version=self.installed("kubelet"), pod_cidr=f"10.128.{number}.0/24")
        self.tables |= {"ip kube-proxy", "ip atoll"}

    def _write_manifest(self) -> None:
        image = f"registry.k8s.io/kube-apiserver:{self.world.api_version}"
        body = {"spec": {"containers": [{"image": image}]}}
        self.host.files["/etc/kubernetes/manifests/kube-apiserver.yaml"] = yaml.safe_dump(body)

    def _etcdctl(self, argv: list[str], command: Command) -> Result:
        self.host.files[argv[-1]] = f"snapshot of {self.world.api_version}"
        self.world.ran.append((self.name, "snapshot"))
        return Result(code=0)

    def _etcdutl(self, argv: list[str], command: Command) -> Result:
        return Result(code=0 if any(word in self.host.files for word in argv) else 1)

    # -- kubectl -------------------------------------------------------------------------------------------------

    def _kubectl(self, argv: list[str], command: Command) -> Result:
        words = [word for word in argv[1:] if not word.startswith("-")]
        words = [word for word in words if word not in {"/etc/kubernetes/admin.conf", "/var/lib/atoll/cache"}]
        if "/etc/kubernetes/admin.conf" in argv and "/etc/kubernetes/admin.conf" not in self.host.files:
            return Result(code=1, err="The connection to the server was refused")
        match words:
            case ["get", "nodes"]:
                return Result(code=0, out=json.dumps({"items": [self._show(name) for name in self.world.nodes]}))
            case ["get", "deployment", "coredns"]:
                return Result(code=0, out=json.dumps({"status": {"availableReplicas": 2}}))
            case ["get", "daemonset", "kube-proxy"]:
                return Result(code=0, out="daemonset.apps/kube-proxy") if self.world.identity else Result(code=1)
            case ["get", "pods"]:
                return Result(code=0)
            case ["create"]:
                assert not isinstance(command.stdin, str)
                data = json.loads(command.stdin.value)["stringData"]
                self.world.tokens.add(f"{data['token-id']}.{data['token-secret']}")
            case ["delete", "secret", *names]:
                gone = {name.removeprefix("bootstrap-token-") for name in names}
                self.world.tokens = {token for token in self.world.tokens if names and token.split(".")[0] not in gone}
            case ["delete", "node", name]:
                self.world.nodes.pop(name, None)
            case ["annotate", "node", name, note]:
                key, _, value = note.rstrip("-").partition("=")
                self.world.nodes[name].annotations[key] = value
                if note.endswith("-"):
                    del self.world.nodes[name].annotations[key]
            case ["drain", name]:
                self.world.nodes[name].unschedulable = True
                if self.world.blocked:
                    return Result(code=1, err=self.world.blocked)
            case ["uncordon", name]:
                self.world.nodes[name].unschedulable = False
            case _:
                assert "--raw" in argv or any(word.startswith("--raw=") for word in argv), argv
                return Result(code=0, out="ok")
        return Result(code=0)

    def _show(self, name: str) -> dict:
        node = self.world.nodes[name]
        ready = "kubelet" in self.world.machines[name].active
        return {
            "metadata": {"name": name, "annotations": node.annotations},
            "spec": {"podCIDR": node.pod_cidr, "unschedulable": node.unschedulable},
            "status": {
                "nodeInfo": {"kubeletVersion": node.version},
                "conditions": [{"type": "Ready", "status": "True" if ready else "False"}],
            },
        }


class Claims:
    """What a management plane would know."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names
        self.maps: dict[str, Mapping[str, str]] = {}

    async def hosts(self, ref: ClusterRef) -> tuple[ClaimedHost, ...]:
        if ref.id != "c1":
            return ()
        return tuple(
            ClaimedHost(
                node_name=name,
                role="Worker" if number else "ControlPlane",
                access=HostAccess(name=name, address=f"10.88.0.{number + 11}", host_key="k", private_key="SECRET"),
            )
            for number, name in enumerate(self.names)
        )

    async def config_map(self, fleet: str, name: str) -> Mapping[str, str]:
        if name not in self.maps:
            raise Refused(f"there is no ConfigMap {name} in {fleet}")
        return self.maps[name]


def wanted(world: World, version: str, workers: int = 1, **settings: object) -> WantedCluster:
    block = {"workerHosts": workers, "source": {"bundlePath": str(world.bundle)}, **settings}
    ref = ClusterRef(fleet="fleet", name="web--prod", id="c1")
    return WantedCluster(
        ref=ref, version=version, pod_cidr="10.128.0.0/16", service_cidr="10.192.0.0/20", settings=block
    )
