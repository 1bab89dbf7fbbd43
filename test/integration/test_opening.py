"""The opening of a failover that nobody can confirm, and a new primary that dies just after it: one takes writes at most."""

import contextlib
import signal
import time

import pytest

from labkit import Writer
from labkit.process import until
from manager import PATIENCE, Manager
from test_switchover import stop_at


@contextlib.contextmanager
def standing(manager):
    """A failover of db1 that stands still at a record (stop_at()): what is done in here happens there, then it goes on."""
    process, = manager.lab.mgr.processes("mhad")
    manager.lab["db1"].kill()
    try:
        until(lambda: process.state() == "T", PATIENCE, "mhad stands still", 0.01)
        yield
    finally:
        process.signal(signal.SIGCONT)
        manager.lab.mhad.send_signal(signal.SIGCONT)  # nsenter stands still with it


def start(lab, *point, **settings):
    return Manager.start(lab, environment=stop_at(*point), servers={"db2": {"promotion": "prefer"}}, **settings)


def halted(lab, **settings):
    """db2 was opened, and cut off before it could say so."""
    manager = start(lab, "open-candidate", "intent", **settings)
    with standing(manager):
        lab["db2"].set_read_only(False)
        lab["db2"].host.cut()
    manager.wait_state("halted")
    return manager


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
def test_old_primary_returns_to_a_halted_run(lab):
    """Its replicas still follow it and nobody else is to be seen, and yet it must not take writes."""
    with Writer(lab) as writer:
        manager = halted(lab)
        db1 = lab["db1"]
        db1.start()
        until(lambda: not db1.writable() and lab.address not in db1.host.addresses(), PATIENCE, "db1 fenced")
        lab["db2"].host.heal()
        until(lambda: manager.server("db2")["up"], PATIENCE, "db2 is back")
        assert manager.order("run", "retry", "app1").returncode == 0
        manager.wait_run("completed")
        writer.wait_elsewhere(PATIENCE)
        assert manager.well([writer]) is lab["db2"]
        assert not db1.writable()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_opened_and_abandoned(lab):
    """Another one is opened instead: the first must not take writes when it is back, and the manual's words work."""
    with Writer(lab) as writer:
        manager = halted(lab, failover={"set_read_only": False})
        first = manager.status()["last_run"]["run"]
        assert manager.order("run", "abandon", "app1").returncode == 0
        until(lambda: "run" not in manager.status(), PATIENCE, "the end of the run")
        refused = manager.order("failover", "app1", "--to", "db3", "--yes")
        assert refused.returncode and "--ignore-last-failover" in refused.stderr, refused.stderr
        done = manager.order("failover", "app1", "--to", "db3", "--yes", "--ignore-last-failover")
        assert done.returncode == 0, done.stdout + done.stderr
        manager.wait_run("completed", after=first)
        db2 = lab["db2"]
        assert db2.writable()
        db2.host.heal()
        until(lambda: not db2.writable(), PATIENCE, "db2 fenced")
        writer.wait_elsewhere(PATIENCE)
        assert manager.well([writer], dead=("db1", "db2")) is lab["db3"]


@pytest.mark.flavours("mariadb", "mysql9")
def test_new_primary_dies(lab):
    """What is left to do there is not waited for; the others follow it, and another failover can be ordered at once."""
    manager = start(lab, "repoint-replicas", "intent")
    with standing(manager):
        lab["db2"].kill()
    begun = time.monotonic()
    report = manager.wait_run("completed")
    assert time.monotonic() - begun < 8, "on a loaded machine; 5 s and what mhactl takes"
    assert report["why"] == "db2 does not answer any more", report["text"]
    assert "was opened, and does not answer any more" in report["text"], report["text"]
    assert lab["db3"].status()["source"] == lab["db2"].ip
    until(lambda: manager.status().get("primary") == "db2", PATIENCE, "db2 is the dead primary")
    done = manager.order("failover", "app1", "--yes", "--ignore-last-failover")
    assert done.returncode == 0, done.stdout + done.stderr
    manager.wait_run("completed", after=report["run"])
    with Writer(lab) as writer:
        assert manager.well([writer], dead=("db1", "db2")) is lab["db3"]
