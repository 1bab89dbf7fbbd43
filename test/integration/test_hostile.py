"""Bad clients of the control socket do not disturb the watching, nor a failover."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from labkit import Writer
from labkit.process import until
from manager import PATIENCE, Manager

SWARM = os.path.join(os.path.dirname(os.path.abspath(__file__)), "swarm.py")
SOCKET = "/run/mhad/control"
SECONDS = 8
USERS = (65531, 65532, 65533, 65534)
CLIENTS = 1000
MESSAGES = 10000
PLACES = 48  # of 64, for those who may only ask
GROWTH_MOST = 8 << 20


def swarm(lab, user, clients, messages):
    """As a process of its own; None is root."""
    words = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"] if user else []
    return lab.mgr.popen([*words, sys.executable, SWARM, SOCKET, str(SECONDS), str(clients), str(messages)],
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)


def late_ticks(manager):
    return {server["name"]: server["late_ticks"] for server in manager.status()["servers"]}


def used(process):
    """Its resident memory and its open descriptors."""
    with open(f"/proc/{process.pid}/statm", encoding="ascii") as file:
        pages = int(file.read().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{process.pid}/fd"))


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=2)
def test_swarm(lab, record_property):
    """A thousand clients that are idle, slow or deaf, and ten thousand malformed messages: no tick comes late, an operator
    gets in, a primary that dies is replaced, and nothing of it stays."""
    manager = Manager.start(lab, detection={"ping_interval": "1s", "status_interval": "1s"})
    time.sleep(2)
    mhad, = lab.mgr.processes("mhad")
    memory, descriptors = used(mhad)
    before = late_ticks(manager)
    began = time.monotonic()
    crowds = [swarm(lab, user, CLIENTS // len(USERS), 0) for user in USERS]
    speakers = [swarm(lab, user, 0, MESSAGES // 2) for user in (65530, None)]
    asked = 0
    while any(process.poll() is None for process in crowds + speakers):
        assert manager.order("status", timeout=10).returncode == 0, "an operator must always get in"
        asked += 1
        time.sleep(0.2)
    told = [json.loads(process.communicate(timeout=PATIENCE)[0]) for process in crowds + speakers]
    took = time.monotonic() - began
    late = {name: number - before[name] for name, number in late_ticks(manager).items()}
    total = {name: sum(one.get(name, 0) for one in told)
             for name in ("together", "refused", "stayed", "dropped", "sent")}
    until(lambda: used(mhad)[1] <= descriptors + 2, PATIENCE, "their connections are closed")
    growth = used(mhad)[0] - memory
    record_property("told", f"hostile clients: {total}, {took:.0f} s, late ticks {late}, memory {growth >> 10:+} KiB")
    assert total["sent"] >= MESSAGES and asked > 5, told
    assert total["together"] == CLIENTS and total["stayed"] == PLACES and total["refused"] == CLIENTS - PLACES, told
    assert not any(late.values()), late
    assert growth < GROWTH_MOST, growth
    assert not manager.events("suspect", "topology-problem", "stall")

    # The counter does count.
    mhad.signal(signal.SIGSTOP)
    time.sleep(1.9)
    lab.mhad.send_signal(signal.SIGCONT)  # who waits for it stops with it
    mhad.signal(signal.SIGCONT)
    until(lambda: all(number > before[name] for name, number in late_ticks(manager).items()), PATIENCE, "late ticks", 0.1)

    crowds = [swarm(lab, user, CLIENTS // len(USERS), 0) for user in USERS]
    with Writer(lab) as writer:
        writer.wait_acknowledged(10, PATIENCE)
        lab["db1"].kill()
        manager.wait_run()
        for process in crowds:
            process.communicate(timeout=PATIENCE)
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
