"""The process on the machine that one host hangs on: `python -I supervise.py PLAN`.

It joins the host's control groups, mounts the host's root where nobody else sees it, and starts systemd-nspawn, again
whenever the host asks for a reboot. It runs in a mount namespace of its own, so that the mount is gone with it however
it ends. It imports nothing of ours, because -I keeps the checkout off the path.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from types import FrameType

REBOOT = 133
"""How systemd-nspawn --keep-unit says that the machine wants to boot again."""


def main(plan_path: str) -> int:
    """Carry one host until it is off."""
    with open(plan_path, encoding="utf-8") as file:
        plan = json.load(file)
    # With v2 alone a group has either processes or children with controllers: we keep to a leaf of our own.
    join([os.path.join(group, "carrier") for group in plan["groups"]] if plan["leaf"] else plan["groups"])
    subprocess.run(plan["mount"], check=True)
    running: subprocess.Popen[bytes] | None = None
    stopping = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        if running is not None:
            running.send_signal(signal.SIGTERM)  # systemd-nspawn hands it on as an orderly power-off

    signal.signal(signal.SIGTERM, stop)
    code = REBOOT
    while code == REBOOT and not stopping:
        for group in plan["groups"]:
            clear(group)
        running = subprocess.Popen(plan["argv"], stdin=subprocess.DEVNULL, preexec_fn=lambda: join(plan["groups"]))
        code = running.wait()
    return code


def join(groups: list[str]) -> None:
    """Put this process into groups."""
    for group in groups:
        os.makedirs(group, exist_ok=True)
        with open(os.path.join(group, "cgroup.procs"), "w", encoding="ascii") as file:
            file.write("0")


def clear(group: str) -> None:
    """Remove the groups that the boot before left."""
    for folder, _, _ in os.walk(group, topdown=False):
        if folder != group:
            try:
                os.rmdir(folder)
            except OSError:
                continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
