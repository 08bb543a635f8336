"""Manifests from files, folders and standard input, as an API server would read them, in any order."""

from __future__ import annotations

import sys
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from atoll.errors import BadInput

SUFFIXES: Final = (".yaml", ".yml", ".json")
SIZE_LIMIT: Final = 16 * 1024 * 1024
"""More than anyone writes by hand; a device or a log file is refused instead of read."""
CLUSTER_SCOPED: Final = frozenset({("v1", "Namespace")})
"""Kinds beside ours that a fleet's files hold and that have no namespace; all of ours have one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Something in a manifest that cannot be used."""

    object: str
    """`Kind/name`, or the document when it is not even that."""
    field: str
    message: str
    namespace: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One object of one file."""

    source: str
    """File and number of the document in it, for messages."""
    body: dict[str, Any]

    @property
    def key(self) -> tuple[str, str, str]:
        """Namespace, kind and name: what makes two documents the same object."""
        metadata = self.body["metadata"]
        return str(metadata.get("namespace", "")), str(self.body["kind"]), str(metadata["name"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Documents:
    """All objects that were named, sorted, each once; and what could not be used."""

    items: tuple[Document, ...] = ()
    faults: tuple[Fault, ...] = ()


class _Loader(yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader):  # type: ignore[misc]
    """Reads YAML as kubectl does: no dates, and no key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that stands twice: the first value would silently be lost."""
        seen: set[str] = set()
        for key, _ in node.value:
            name = f"{key.tag}:{key.value}" if isinstance(key, yaml.ScalarNode) else ""
            if name and name in seen and key.value != "<<":
                raise yaml.MarkedYAMLError(None, None, f"the key `{key.value}` stands twice", key.start_mark)
            seen.add(name)
        made: dict[Hashable, Any] = super().construct_mapping(node, deep)
        return made


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def read_documents(paths: Sequence[str], *, namespace: str) -> Documents:
    """Read every manifest below `paths` (`-`: standard input); objects without a namespace get `namespace`.

    Raises BadInput when a path cannot be read; what is wrong inside of files comes back as faults.
    """
    texts = [(str(path), _read(path)) for path in _list_files(paths)]
    return parse_documents(texts, namespace=namespace)


def parse_documents(texts: Iterable[tuple[str, str]], *, namespace: str) -> Documents:
    """Read named texts; every text may hold several documents, or a List."""
    found: dict[tuple[str, str, str], Document] = {}
    faults: list[Fault] = []
    for source, text in sorted(texts):
        for where, body in _parse_text(source, text, faults):
            if fault := _check_shape(where, body):
                faults.append(fault)
                continue
            document = Document(source=where, body=_with_namespace(body, namespace))
            first = found.setdefault(document.key, document)
            if first is not document:
                faults.append(_build_duplicate(first, document))
    return Documents(items=tuple(found[key] for key in sorted(found)), faults=tuple(faults))


def name_object(kind: str, name: str) -> str:
    """Write an object as commands take it."""
    return f"{kind}/{name}"


def _list_files(paths: Sequence[str]) -> list[Path | str]:
    """List the files that are meant. Like kubectl's, a folder stands for the manifests directly in it."""
    files: dict[Path | str, None] = {}
    for text in paths:
        path = Path(text)
        if text == "-":
            files["-"] = None
        elif path.is_dir():
            inside = sorted(item for item in path.iterdir() if item.suffix in SUFFIXES and item.is_file())
            if not inside:
                raise BadInput(f"{path} holds no {', '.join(SUFFIXES)} file; name a folder that does, or a file")
            files |= dict.fromkeys(inside)
        elif path.is_file():
            files[path] = None
        else:
            raise BadInput(f"{path} is neither a file nor a folder; check the path")
    return list(files)


def _read(path: Path | str) -> str:
    if path == "-":
        return sys.stdin.read()
    assert isinstance(path, Path)
    try:
        if path.stat().st_size > SIZE_LIMIT:
            raise BadInput(f"{path} is larger than {SIZE_LIMIT >> 20} MiB; that is no manifest")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise BadInput(f"{path} is not UTF-8 text; save it as UTF-8") from None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error


def _parse_text(source: str, text: str, faults: list[Fault]) -> Iterator[tuple[str, Any]]:
    """Yield each document with the place where it stands; a syntax error ends its own file and no other."""
    number = 0
    try:
        for number, body in enumerate(yaml.load_all(text, Loader=_Loader), start=1):
            where = source if number == 1 else f"{source}, document {number}"
            if isinstance(body, dict) and str(body.get("kind", "")).endswith("List") and "items" in body:
                for index, item in enumerate(body["items"] or (), start=1):
                    yield f"{where}, item {index}", item
            elif body is not None:
                yield where, body
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f"line {mark.line + 1}" if mark else f"document {number + 1}"
        problem = getattr(error, "problem", None) or "it is not YAML"
        faults.append(Fault(object=source, field=line, message=f"{source}: {line}: {problem}. Correct the file."))


def _check_shape(where: str, body: Any) -> Fault | None:
    if not isinstance(body, dict):
        return Fault(object=where, field="", message=f"{where} is not an object. Write apiVersion, kind and metadata.")
    metadata = body.get("metadata")
    for field, value in (
        ("apiVersion", body.get("apiVersion")),
        ("kind", body.get("kind")),
        ("metadata.name", metadata.get("name") if isinstance(metadata, dict) else None),
    ):
        if not isinstance(value, str) or not value:
            hint = "" if value is None else f", it is {value!r}: put it into quotes"
            return Fault(object=where, field=field, message=f"{where}: {field} must be a text{hint}.")
    if not isinstance(body["metadata"].get("namespace", ""), str):
        return Fault(object=where, field="metadata.namespace", message=f"{where}: metadata.namespace must be a text.")
    return None


def _with_namespace(body: dict[str, Any], namespace: str) -> dict[str, Any]:
    metadata = dict(body["metadata"])
    if (body["apiVersion"], body["kind"]) not in CLUSTER_SCOPED and not metadata.get("namespace"):
        metadata["namespace"] = namespace
    return {**body, "metadata": metadata}


def _build_duplicate(first: Document, second: Document) -> Fault:
    namespace, kind, name = first.key
    return Fault(
        namespace=namespace,
        object=name_object(kind, name),
        field="metadata.name",
        message=f"{kind} {name} stands twice: in {first.source} and in {second.source}. Remove one.",
    )
