"""The list of verbs: help is quick, errors are short, and nothing is loaded before it is asked for."""

import subprocess
import sys

import pytest
from click.testing import CliRunner

from atoll.cli.main import VERBS, LazyGroup, atoll, name_program

HEAVY = {"aiohttp", "cryptography", "jsonschema", "kopf", "kubernetes", "prometheus_client", "pydantic", "rich", "yaml"}


def run_python(code: str) -> str:
    """Run code in an interpreter of its own, because this one has long imported everything."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_help_imports_no_verb_and_nothing_heavy():
    loaded = run_python(
        "import sys\n"
        "from atoll.cli.main import atoll\n"
        "atoll.main(['--help'], standalone_mode=False)\n"
        "print(' '.join(sys.modules))\n"
    ).split()

    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert {name for name in loaded if name.startswith("atoll.")} == {
        "atoll.cli",
        "atoll.cli.main",
        "atoll.errors",
    }


@pytest.mark.parametrize("verb", ["plan", "tree", "why", "kubeconfig", "watch", "approve", "abort", "retry"])
def test_the_help_of_a_verb_imports_nothing_heavy(verb):
    loaded = run_python(
        "import sys\n"
        "from atoll.cli.main import atoll\n"
        f"atoll.main(['{verb}', '--help'], standalone_mode=False)\n"
        "print(' '.join(sys.modules))\n"
    ).split()

    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()


def test_help_lists_every_verb_with_its_sentence():
    result = CliRunner().invoke(atoll, ["--help"])

    assert result.exit_code == 0
    assert [name for name in VERBS if f"  {name} " not in result.output] == []
    assert "kubectl atoll" not in result.output


def test_every_verb_of_the_table_is_there_and_documented():
    group = atoll
    assert isinstance(group, LazyGroup)
    for name in VERBS:
        command = group.get_command(None, name)  # type: ignore[arg-type]
        assert command is not None
        assert command.help, f"atoll {name} has no help"


def test_as_a_plugin_of_kubectl_it_calls_itself_so():
    assert [name_program(path) for path in ("/usr/bin/kubectl-atoll", "/usr/bin/atoll")] == ["kubectl atoll", "atoll"]


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["plan", "-f", "does/not/exist"], "error: does/not/exist is neither a file nor a folder; check the path"),
        (["why", "shop"], "error: `shop` names nothing to explain"),
        (["tree", "--kubeconfig", "does/not/exist"], "error: no kubeconfig can be read at does/not/exist"),
        (["bogus"], "No such command 'bogus'"),
    ],
)
def test_an_error_is_one_sentence_on_stderr_and_exit_2(arguments, told):
    code = f"import sys; from atoll.cli.main import main; main({arguments!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)

    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
    assert "Traceback" not in done.stderr
