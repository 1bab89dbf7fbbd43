"""MHA's advisory locks: never two managers that act on one cluster."""

import threading
import time

import pytest

from labkit import Writer
from labkit.process import until
from manager import PATIENCE, Manager

OK, OTHER_MANAGER = 0, 34
MONITOR, FAILOVER = "MHA_Master_High_Availability_Monitor", "MHA_Master_High_Availability_Failover"


def free(server, lock):
    return server.value(f"SELECT IS_FREE_LOCK('{lock}')") == 1


class Session:
    """Somebody who has a lock until he lets go of it: a client that sleeps."""

    def __init__(self, server, lock):
        self.server, self.lock = server, lock
        self.thread = threading.Thread(target=self.hold, daemon=True)
        self.thread.start()
        until(self.number, PATIENCE, "the session has the lock")

    def hold(self):
        try:
            self.server.sql(f"SELECT GET_LOCK('{self.lock}', 100)", "SELECT SLEEP(600)", timeout=700)
        except Exception:  # pylint: disable=broad-except
            pass  # it was ended

    def number(self):
        return self.server.value(f"SELECT IS_USED_LOCK('{self.lock}')")

    def end(self):
        self.server.sql(f"KILL {self.number()}")
        self.thread.join(30)


def held(manager, lab):
    """mhad has the monitor's lock on the primary and the failover's on the replicas."""
    primary = lab[manager.status()["primary"]]
    others = [lab[server["name"]] for server in manager.status()["servers"]
              if server["up"] and server["name"] != primary.name]
    return not free(primary, MONITOR) and not any(free(server, FAILOVER) for server in others)


@pytest.mark.modes("gtid")
def test_mhad_has_them(lab):
    """From the start, over its restart, through a failover and after it; nobody else gets one meanwhile."""
    manager = Manager.start(lab)
    until(lambda: held(manager, lab), PATIENCE, "mhad has the locks")
    lab.kill_mhad()
    until(lambda: free(lab["db1"], MONITOR), PATIENCE, "the locks go with it")
    lab.start_mhad()
    manager.wait_health("ok")
    until(lambda: held(manager, lab), PATIENCE, "mhad has the locks again")
    got, ended = [], threading.Event()

    def grab():
        while not ended.is_set():
            for name in ("db2", "db3"):
                try:
                    if lab[name].value(f"SELECT GET_LOCK('{FAILOVER}', 0)") == 1:
                        got.append((name, time.monotonic()))
                except Exception:  # pylint: disable=broad-except
                    continue
            time.sleep(0.02)

    thread = threading.Thread(target=grab, daemon=True)
    with Writer(lab) as writer:
        thread.start()
        lab["db1"].kill()
        report = manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        early = [name for name, _ in got]
        ended.set()
        thread.join(30)
        assert not thread.is_alive()
        # the new primary gives the failover's lock back when it is the primary, not before it is
        assert not early or early == [report["new_primary"]] * len(early)
        manager.well([writer])
    until(lambda: held(manager, lab), PATIENCE, "mhad has the locks of the new roles")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_an_mha_manager_is_in_charge(lab):
    """It holds the monitor's lock: mhad says so, gives the replicas' locks free for it, and does not act."""
    session = Session(lab["db1"], MONITOR)
    manager = Manager.start(lab, health="warning")
    name = manager.cluster.name
    status = manager.wait(lambda status: any(problem["id"] == "other_manager" for problem in status["problems"]),
                          "the other manager is seen")
    problem = next(problem for problem in status["problems"] if problem["id"] == "other_manager")
    assert problem["blocks"] and f"session {session.number()}" in problem["text"]
    until(lambda: free(lab["db2"], FAILOVER) and free(lab["db3"], FAILOVER), PATIENCE, "the replicas' locks are free")
    done = manager.order("switch", name, "--yes")
    assert done.returncode == OTHER_MANAGER and "in charge" in done.stderr
    lab["db1"].kill()
    manager.wait_state("held")
    manager.untouched(3)
    replica = Session(lab["db2"], FAILOVER)
    replica.end()
    done = manager.order("failover", name, "--yes")
    assert done.returncode == OK, done.stdout + done.stderr
    manager.well()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_somebody_fails_over(lab):
    """The failover's lock on a replica: no order is taken, and nothing happens by itself, until it is free."""
    session = Session(lab["db3"], FAILOVER)
    manager = Manager.start(lab, health="warning")
    name = manager.cluster.name
    manager.wait(lambda status: any(problem.get("server") == "db3" and problem["id"] == "other_manager"
                                    for problem in status["problems"]), "it is seen")
    lab["db1"].kill()
    manager.wait_state("held")
    manager.untouched(2)
    done = manager.order("failover", name, "--yes")
    assert done.returncode == OTHER_MANAGER and "another manager is at work" in done.stderr
    session.end()
    manager.wait_run()
    manager.well()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_who_only_watches_takes_none(lab):
    manager = Manager.start(lab, failover={"mode": "monitor"})
    end = time.monotonic() + 3
    while time.monotonic() < end:
        for server, lock in ((lab["db1"], MONITOR), (lab["db2"], FAILOVER)):
            holder = server.value(f"SELECT IS_USED_LOCK('{lock}')")
            assert holder is None, (server.name, lock, holder, server.sql("SHOW PROCESSLIST"))
        time.sleep(0.1)
    assert manager.status()["mode"] == "monitor"


@pytest.mark.flavours("mariadb", "mysql56")
@pytest.mark.modes("gtid")
def test_a_lost_session_of_ours(lab):
    """The primary is cut off for a moment and misses nothing of it: its old session does not count as somebody else."""
    manager = Manager.start(lab, failover={"mode": "automatic"}, detection={"restart_grace": "60s"})
    until(lambda: held(manager, lab), PATIENCE, "mhad has the locks")
    assert manager.order("pause", manager.cluster.name).returncode == OK
    lab["db1"].freeze()
    manager.wait(lambda status: not manager.server("db1")["up"], "it is seen to be frozen")
    lab["db1"].thaw()
    manager.wait_health("ok")
    until(lambda: held(manager, lab), PATIENCE, "mhad has the locks again")
    assert not [problem for problem in manager.status()["problems"] if problem["id"] == "other_manager"]
