"""How a host is broken and mended, from the machine that carries it: past ssh, so that it works when that is broken.

Nothing here reaches beyond the host. Its clock is the machine's, so a clock that is off is a `date` that says so, ahead
of the real one in the search path; a full disk is a small file system mounted where it matters, inside the host.
"""

from __future__ import annotations

from typing import Final

from tests.e2e.hosts.rig import RigHost

TABLE: Final = ("inet", "pulled-cable")
SHIM: Final = "/usr/local/sbin/kubeadm"
CALLS: Final = "/var/log/kubeadm-calls"
HOOK: Final = "/usr/local/lib/kubeadm-hook"
_SHIM: Final = f"""\
#!/bin/sh
echo "$*" >> {CALLS}
if [ -e {HOOK} ]; then . {HOOK}; fi
exec /usr/bin/kubeadm "$@"
"""
_KEYS: Final = "/etc/ssh/ssh_host_ed25519_key"
_VERBOSE: Final = "/etc/ssh/sshd_config.d/verbose.conf"
_AUTHORISED: Final = "/root/.ssh/authorized_keys"


def write(host: RigHost, path: str, content: str, mode: str = "0644") -> None:
    """Write a file."""
    host.run("sh", "-c", 'mkdir -p "${1%/*}" && cat > "$1" && chmod "$2" "$1"', "sh", path, mode, stdin=content)


def remove(host: RigHost, *paths: str) -> None:
    """Remove files and folders."""
    host.run("rm", "-rf", "--", *paths)


def turn_clock(host: RigHost, seconds: int) -> None:
    """Have `date` say a time that many seconds off, as a clock would that is off."""
    text = f'#!/bin/sh\nexec /usr/bin/date -d "{seconds} seconds" "$@"\n'
    write(host, "/usr/local/bin/date", text, "0755")


def listen(host: RigHost, port: int) -> None:
    """Have something listen on a port."""
    host.run("systemd-run", "--quiet", f"--unit=listener-{port}", "systemd-socket-activate", "-l", str(port), "cat")


def stop_listening(host: RigHost, port: int) -> None:
    """End what `listen` started."""
    host.run("systemctl", "stop", f"listener-{port}")


def hold_package_lock(host: RigHost) -> None:
    """Hold the lock that dpkg holds while it works."""
    host.run("systemd-run", "--quiet", "--unit=dpkg-at-work", "flock", "/var/lib/dpkg/lock-frontend", "sleep", "9999")


def release_package_lock(host: RigHost) -> None:
    """End what `hold_package_lock` started."""
    host.run("systemctl", "stop", "dpkg-at-work")


def fill(host: RigHost, folder: str, *, size: str = "16m") -> None:
    """Have next to no room in a folder."""
    host.run("sh", "-c", 'mkdir -p "$1" && mount -t tmpfs -o size="$2" full "$1"', "sh", folder, size)


def make_room(host: RigHost, folder: str) -> None:
    """Undo `fill`; what was written there meanwhile is gone."""
    host.run("umount", "--lazy", folder)


def take_login_away(host: RigHost) -> None:
    """Let the pool's key in no more."""
    host.run("mv", _AUTHORISED, f"{_AUTHORISED}.away")


def give_login_back(host: RigHost) -> None:
    """Undo `take_login_away`."""
    host.run("mv", f"{_AUTHORISED}.away", _AUTHORISED)


def change_host_key(host: RigHost) -> None:
    """Give sshd another host key, cut everybody off, and have it log every try to log in from now on."""
    write(host, _VERBOSE, "LogLevel DEBUG1\n")
    host.run("sh", "-c", f"mv {_KEYS} {_KEYS}.true && mv {_KEYS}.pub {_KEYS}.pub.true")
    host.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", _KEYS)
    host.run("systemctl", "restart", "ssh")
    host.run("sh", "-c", "echo; date +%s.%N > /run/key-changed")
    cut_sessions(host)


def restore_host_key(host: RigHost) -> None:
    """Give sshd its true key back."""
    host.run("sh", "-c", f"mv -f {_KEYS}.true {_KEYS} && mv -f {_KEYS}.pub.true {_KEYS}.pub")
    host.run("systemctl", "restart", "ssh")


def quieten_sshd(host: RigHost) -> None:
    """Let sshd log as before."""
    remove(host, _VERBOSE)
    host.run("systemctl", "restart", "ssh")


def read_logins(host: RigHost) -> tuple[str, ...]:
    """Return what sshd has logged about authentication since the host key was changed."""
    since = host.run("cat", "/run/key-changed").stdout.strip()
    log = host.run("journalctl", "--quiet", "-o", "cat", f"--since=@{since}", "_COMM=sshd", timeout=60).stdout
    words = ("userauth-request", "Accepted ", "Failed ", "authenticating user", "Postponed ")
    return tuple(line for line in log.splitlines() if any(word in line for word in words))


def count_connections(host: RigHost) -> int:
    """Return how many connections sshd has logged since the host key was changed."""
    since = host.run("cat", "/run/key-changed").stdout.strip()
    log = host.run("journalctl", "--quiet", "-o", "cat", f"--since=@{since}", "_COMM=sshd", timeout=60).stdout
    return sum(line.startswith("Connection from") for line in log.splitlines())


def cut_sessions(host: RigHost) -> None:
    """End all connections by ssh; what they started and detached goes on."""
    host.run("pkill", "-KILL", "-f", "^sshd: [a-z]+@", check=False)


def pull_cable(host: RigHost) -> None:
    """Cut all connections by ssh, now, and let nobody connect any more."""
    _filter(host, "tcp dport 22 tcp flags & (syn | ack) == syn drop")
    cut_sessions(host)


def drop_port_22(host: RigHost) -> None:
    """Drop every packet to port 22: who is connected hears nothing any more, not even an end."""
    _filter(host, "tcp dport 22 drop")


def plug_in(host: RigHost) -> None:
    """Undo `pull_cable` and `drop_port_22`."""
    host.run("nft", "delete", "table", *TABLE)


def watch_kubeadm(host: RigHost) -> None:
    """Have every call of kubeadm noted, by a program ahead of it in the search path."""
    remove(host, CALLS, HOOK)
    write(host, SHIM, _SHIM, "0755")


def hook_kubeadm(host: RigHost, script: str) -> None:
    """Have a script run before kubeadm does, with its arguments."""
    write(host, HOOK, script)


def unhook_kubeadm(host: RigHost) -> None:
    """Undo `hook_kubeadm`."""
    remove(host, HOOK)


def count_calls(host: RigHost, words: str) -> int:
    """Return how often kubeadm was called with arguments that begin so."""
    calls = host.run("cat", CALLS, check=False).stdout.splitlines()
    return sum(call.startswith(words) for call in calls)


def _filter(host: RigHost, rule: str) -> None:
    table = " ".join(TABLE)
    text = f"table {table} {{\nchain in {{\ntype filter hook input priority -300\n{rule}\n}}\n}}\n"
    host.run("nft", "-f", "-", stdin=text)
