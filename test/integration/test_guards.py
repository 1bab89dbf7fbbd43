"""What holds a failover back although the primary is dead: many at once, and a daemon that stood still."""

import json
import signal
import time

import pytest

from labkit import Writer
from labkit.mhad import merged
from labkit.process import until
from manager import PATIENCE, QUICK, Manager, brief

# What dies in a test dies one after the other: the first must not be found dead before the last is missed.
TOGETHER = {"failover": {"storm_limit": 3}, "detection": {"restart_grace": "2s"}}


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(clusters=3, replicas=1)
def test_storm(lab):
    """Three at once: held, and it says which and what to type; told so one goes on; without the guard another does."""
    Manager.start(lab, **TOGETHER)
    managers = [Manager(lab, cluster) for cluster in lab.clusters]
    told, freed, healed = managers
    for cluster in lab.clusters:
        cluster.primary.kill()
    for manager in managers:
        name = manager.cluster.name
        status = manager.wait_state("held")
        hold, = status["if_primary_died"]["hold"]
        for words in ("on 3 hosts were lost together", "app1 db1", "app2 db3", "app3 db5", f"'mhactl failover {name}'"):
            assert words in hold, hold
        until(lambda manager=manager: any("lost together" in event["text"] for event in manager.events("held")),
              PATIENCE, "it is told")
        shown = manager.order("status", name)
        assert shown.returncode == 11 and f"mhactl failover {name}" in shown.stdout, shown.stdout
        checked = manager.order("check", name)
        assert checked.returncode == 1 and "lost together" in checked.stdout, checked.stdout
    for _ in range(12):  # longer than losses have to be together
        time.sleep(1)
        assert not any(manager.events("run-started") for manager in managers)
    done = told.order("failover", told.cluster.name, "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    with Writer(lab, cluster=told.cluster) as writer:
        told.well([writer])
    assert [manager.status()["state"] for manager in (freed, healed)] == ["held", "held"]
    lab.mhad_config(**merged(QUICK, TOGETHER), only={freed.cluster.name: {"failover": {"storm_limit": 100000}}})
    assert freed.order("reload").returncode == 0
    assert freed.wait_run()["old_primary"] == freed.cluster.primary.name
    assert healed.status()["state"] == "held"
    healed.cluster.primary.start()
    healed.wait_state("steady")
    assert not healed.events("run-started"), brief(healed.status())


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(clusters=2, replicas=1)
def test_storm_at_the_start(lab):
    """Both are lost when the daemon starts, and of one that takes long to be known: the other waits for it."""
    Manager.start(lab, failover={"storm_limit": 2}, detection={"connect_timeout": "8s"})
    managers = [Manager(lab, cluster) for cluster in lab.clusters]
    lab.kill_mhad()
    managers[0].cluster.primary.kill()
    managers[1].cluster.primary.host.cut()
    lab.start_mhad()
    for manager in managers:
        hold, = manager.wait_state("held")["if_primary_died"]["hold"]
        assert "on 2 hosts were lost together" in hold, hold
    assert not any(manager.events("run-started") for manager in managers)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=1)
def test_daemon_that_stood_still(lab):
    """What it saw is old: it says so, asks again, and then acts."""
    manager = Manager.start(lab)
    lab.mgr.send_signal("mhad", signal.SIGSTOP)
    lab.primary.kill()
    time.sleep(4)
    lab.mgr.send_signal("mhad", signal.SIGCONT)
    lab.mhad.send_signal(signal.SIGCONT)  # nsenter stops with its child
    with Writer(lab) as writer:
        manager.wait_run()
        manager.well([writer])
    stall, = [event for event in map(json.loads, manager.order("events", "--json").stdout.splitlines())
              if event["event"] == "stall"]
    assert "stood still for " in stall["text"], stall
    held, = manager.events("held")
    assert "stood still" in held["text"], held
    started = manager.events("run-started")[0]
    assert 4 < (started["time"] - stall["time"]) / 1000000 < 15, (stall, started)  # five seconds of caution
