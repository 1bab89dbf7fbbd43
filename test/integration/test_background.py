"""Replicas that a failover cannot wait for are attached afterwards, while the cluster is watched as ever."""

import pytest

from labkit import Writer, compare
from labkit.process import until
from manager import PATIENCE, Manager, states
from test_resume import dead, dying


def left_behind(lab, manager, writer):
    """db3 cannot be asked while db1 dies: it is not waited for."""
    lab["db3"].freeze()
    manager.wait(lambda status: manager.server("db3")["evidence"] != "alive", "db3 not alive")
    lab["db1"].kill()
    report = manager.wait_run()
    writer.wait_elsewhere(PATIENCE)
    assert states(report)["db3"] in ("not attached", "left out"), report["text"]
    assert manager.status()["background"]["procedure"] == "attach"
    return report


def attached(lab, manager, report):
    lab["db3"].thaw()
    until(lambda: "afterwards" in manager.report(report["run"]), PATIENCE, "the report brought up to date", 0.2)
    after = manager.report(report["run"])
    assert {one["verdict"] for one in after["afterwards"]} == {"met"}, after["text"]
    assert "Afterwards" in after["text"]
    until(lambda: "background" not in manager.status(), PATIENCE, "nothing left to be done", 0.2)
    assert manager.status()["primary"] == report["new_primary"]


def test_late_replica(lab):
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        report = left_behind(lab, manager, writer)
        assert manager.wait_state("steady")["primary"] == report["new_primary"]
        attached(lab, manager, report)
    until(lambda: lab["db3"].status()["executed"] == lab[report["new_primary"]].position(), PATIENCE, "db3 level")
    compare([lab[report["new_primary"]], lab["db3"]])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_killed_before_it_begins(lab):
    """mhad ends with the failover, before it has begun with what that has left to be done."""
    manager = Manager.start(lab, environment=dying(MHAD_DIE_AT="- run-ended"))
    with Writer(lab) as writer:
        lab["db3"].freeze()
        manager.wait(lambda status: manager.server("db3")["evidence"] != "alive", "db3 not alive")
        lab["db1"].kill()
        dead(lab)
        lab.start_mhad()
        report = manager.wait_run("completed")
        writer.wait_elsewhere(PATIENCE)
        attached(lab, manager, report)
    until(lambda: lab["db3"].status()["executed"] == lab[report["new_primary"]].position(), PATIENCE, "db3 level")
    compare([lab[report["new_primary"]], lab["db3"]])


@pytest.mark.modes("position")
def test_both_were_down(lab):
    """The old primary is back before a replica that was down, too, and goes on following it: into a file without anything."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db3"].stop()
        lab["db1"].kill()
        report = manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
    lab.kill_mhad()
    lab["db1"].start()
    lab["db3"].start()
    until(lambda: lab["db3"].status()["executed"] == lab["db1"].position(), PATIENCE, "db3 follows db1")
    lab.start_mhad()
    until(lambda: "afterwards" in manager.report(report["run"]), PATIENCE, "the report brought up to date", 0.2)
    after = manager.report(report["run"])
    assert {one["verdict"] for one in after["afterwards"]} == {"met"}, after["text"]
    until(lambda: lab["db3"].status()["executed"] == lab[report["new_primary"]].position(), PATIENCE, "db3 level")
    compare([lab[report["new_primary"]], lab["db3"]])


def test_restart_meanwhile(lab):
    """What is left to be done survives the daemon; another run ends it."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        report = left_behind(lab, manager, writer)
        lab.kill_mhad()
        lab.start_mhad()
        manager.wait_state("steady")
        assert manager.status()["background"]["run"] == report["run"]
        attached(lab, manager, report)
