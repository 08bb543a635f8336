"""The only place where actions become shell text. Everything that comes from outside goes through `shlex.quote`.

Contents and standard input go into the text of a script and out of it by `printf`, which is part of the shell: they are
never an argument of a process. Here-documents would not do, because some shells keep those in files.
"""

from __future__ import annotations

import shlex
from pathlib import PurePosixPath
from typing import Final

from .command import Action, Command, RemovePath, Secret, WriteFile

KILL_AFTER_SECONDS: Final = 5
"""Between asking a program to end and ending it."""
CODE_TIMED_OUT: Final = 124
CODE_KILLED: Final = 137
CODE_MOUNTED: Final = 16
CODE_EXISTS: Final = 17

SETTINGS: Final = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; LC_ALL=C; HOME=${HOME:-/root}\n"
    "export PATH LC_ALL HOME; umask 022; cd /\n"
)
"""So that a command finds the same surroundings over the shell and in a job."""

FUNCTIONS: Final = f"""\
atoll_write() (
  if [ ! -d "$2" ]; then mkdir -p -- "$2" || exit 1; fi
  umask 077
  part=$1.atoll-$$
  printf %s "$5" > "$part" && chmod "$3" "$part" || {{ rm -f -- "$part"; exit 1; }}
  if [ "$4" = new ]; then
    ln -T -- "$part" "$1" 2>/dev/null; code=$?
    if [ $code != 0 ] && cmp -s -- "$part" "$1"; then code=0; fi
    rm -f -- "$part"
    if [ $code != 0 ] && [ -e "$1" ]; then echo "$1 exists already" >&2; exit {CODE_EXISTS}; fi
    exit $code
  fi
  mv -fT -- "$part" "$1" || {{ rm -f -- "$part"; exit 1; }}
)
atoll_remove() (
  if [ ! -e "$1" ] && [ ! -L "$1" ]; then exit 0; fi
  mounted=0; below=
  if [ ! -L "$1" ]; then
    while read -r _ _ _ _ point _; do
      case $point in "$2") mounted=1 ;; "$2"/*) below="$below $point" ;; esac
    done < /proc/self/mountinfo
  fi
  if [ -n "$below" ]; then echo "not removed, for these are mounted below $1:$below" >&2; exit {CODE_MOUNTED}; fi
  if [ $mounted = 1 ]; then exec find "$1" -mindepth 1 -xdev -delete; fi
  exec rm -rf --one-file-system -- "$1"
)
"""
"""What files need beyond one program. Read once per shell or script."""

_KEPT: Final = frozenset(
    {
        *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root"),
        *("/run", "/sbin", "/srv", "/sys", "/usr", "/var", "/etc/systemd", "/etc/systemd/system", "/usr/bin"),
        *("/usr/lib", "/usr/lib/systemd", "/usr/local", "/usr/local/bin", "/usr/sbin", "/usr/share", "/var/lib"),
        *("/var/log", "/var/cache", "/var/run", "/run/systemd"),
    }
)
"""Folders of the machine that no operation may name for removal."""


def render_action(action: Action) -> str:
    """Return the shell text of an action; its exit code is the action's. ValueError for what must not be done."""
    match action:
        case Command():
            return render_command(action)
        case WriteFile():
            path = _check_path(action.path)
            how = "new" if action.new else "over"
            words = ("atoll_write", str(path), str(path.parent), f"{action.mode:04o}", how, _text(action.content))
            return " ".join(_quote(word) for word in words)
        case RemovePath():
            path = _check_path(action.path)
            if str(path) in _KEPT:
                raise ValueError(f"{path} belongs to the machine: nothing removes it")
            return f"atoll_remove {_quote(str(path))} {_quote(_escape_mount(str(path)))}"


def render_command(command: Command) -> str:
    """Return the shell text of a command with its time budget, environment and standard input."""
    if not command.argv:
        raise ValueError("a command needs a program")
    setting = "".join(f"{_check_name(name)}={_quote(value)} " for name, value in command.environment)
    argv = " ".join(_quote(word) for word in command.argv)
    timed = f"{setting}timeout -k {KILL_AFTER_SECONDS} {command.seconds:g} {argv}"
    stdin = _text(command.stdin)
    return f"printf %s {_quote(stdin)} | {timed}" if stdin else f"{timed} </dev/null"


def allowed_codes(action: Action) -> frozenset[int]:
    """Return the exit codes that mean success."""
    return action.ok if isinstance(action, Command) else frozenset({0})


def action_seconds(action: Action) -> float:
    """Return the time budget of an action; 0 for none of its own."""
    return action.seconds if isinstance(action, Command) else 0.0


def _text(value: str | Secret) -> str:
    return value.value if isinstance(value, Secret) else value


def _quote(word: str) -> str:
    if "\0" in word:
        raise ValueError("a NUL character cannot be sent to a host")
    return shlex.quote(word)


def _check_name(name: str) -> str:
    if not (name.isascii() and name.isidentifier()):
        raise ValueError(f"{name!r} is no name for an environment variable")
    return name


def _check_path(path: str) -> PurePosixPath:
    pure = PurePosixPath(path)
    if not pure.is_absolute() or ".." in pure.parts or "\n" in path or path.startswith("//"):
        raise ValueError(f"{path!r} is not a plain absolute path")
    return pure


def _escape_mount(path: str) -> str:
    """Return a path as the kernel writes it in mountinfo."""
    return path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
