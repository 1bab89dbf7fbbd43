"""Replicas that a failover cannot wait for are attached afterwards, while the cluster is watched as ever."""

import os

import pytest

from labkit import Writer, compare
from labkit.process import until
from manager import PATIENCE, Manager, states
from test_resume import dead, dying
from test_server import edit


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


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
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=3)
def test_goes_on_after_a_refusal(lab):
    """A switchover that begins meanwhile and is refused at its checks changes nothing: what was left to be done goes on."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        report = left_behind(lab, manager, writer)
        manager.wait_state("steady")
        other = next(name for name in ("db2", "db4") if name != report["new_primary"])
        done = manager.order("switch", manager.cluster.name, "--to", other, "--yes")
        assert done.returncode and manager.history()[0]["outcome"] == "aborted", done.stdout + done.stderr
        attached(lab, manager, report)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_never_seen(lab):
    """No daemon has ever asked it who it is."""
    lab["db3"].freeze()
    manager = Manager.start(lab, health="warning")
    with Writer(lab) as writer:
        attached(lab, manager, left_behind(lab, manager, writer))
    manager.well()


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


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_gives_way(lab):
    """A rejoin need not wait for it: it goes on afterwards, and again after a restart. (By position who got the new primary's
    transactions by way of the one that is back meanwhile stands at a place in that one's log.)"""
    manager = Manager.start(lab)
    name = manager.cluster.name
    with Writer(lab) as writer:
        report = left_behind(lab, manager, writer)
        done = manager.order("rejoin", name, "db3")
        assert done.returncode == 1 and "is about to attach db3" in done.stderr, done.stderr
        lab["db1"].start()
        until(lambda: not lab["db1"].writable(), PATIENCE, "db1 read-only")
        manager.wait_state("steady")
        done = manager.order("rejoin", name, "db1")
        assert done.returncode == 0, done.stdout + done.stderr
        for _ in range(2):
            manager.wait(lambda status: status.get("background", {}).get("run") == report["run"], "it goes on")
            assert lab.stop_mhad() == 0
            lab.start_mhad()
        attached(lab, manager, report)
    until(lambda: lab["db3"].status()["executed"] == lab[report["new_primary"]].position(), PATIENCE, "db3 level")
    compare([lab["db1"], lab[report["new_primary"]], lab["db3"]])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("order", ["cancel", "down", "remove"])
def test_ended_by_an_operator(lab, order):
    """It is cancelled as a run is, and a server that is taken out, or removed, is waited for no longer."""
    manager = Manager.start(lab)
    name = manager.cluster.name
    with Writer(lab) as writer:
        report = left_behind(lab, manager, writer)
        if order == "remove":
            done = edit(lab, "remove", name, "db3", "--yes")
        elif order == "down":
            done = manager.order("server", "down", name, "db3")
        else:
            done = manager.order("cancel", name)
        assert done.returncode == 0, done.stdout + done.stderr
        manager.wait(lambda status: "background" not in status, "it is ended")
        lab["db3"].thaw()
        if order != "cancel":
            words = "taken out" if order == "down" else "not in the configuration any more"
            assert words in manager.report(report["run"])["text"]
        assert manager.order("cancel", name).returncode != 0
        lab["db1"].start()
        until(lambda: not lab["db1"].writable(), PATIENCE, "db1 read-only")
        manager.wait_state("steady")
        done = manager.order("rejoin", name, "db1")
        assert done.returncode == 0, done.stdout + done.stderr
        assert "background" not in manager.status() and lab["db3"].status()["source"] == lab["db1"].ip


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_no_room(lab):
    """It stands still as long as its journal cannot be written, and goes on by itself when it can."""
    full = f"{lab.mgr.folder}/full"
    manager = Manager.start(lab, environment=dying(MHAD_FULL=full))
    name = manager.cluster.name
    with Writer(lab) as writer:
        report = left_behind(lab, manager, writer)
        open(full, "w", encoding="utf-8").close()
        lab["db3"].thaw()
        manager.wait_event("run-halted")
        assert manager.status()["background"]["state"] == "halted"
        assert "stands still" in manager.events("run-halted")[-1]["text"]
        done = manager.order("cancel", name)
        assert done.returncode != 0 and "No space left" in done.stderr, done.stderr
        os.unlink(full)
        attached(lab, manager, report)
    assert len(manager.events("run-halted")) == 1


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_another_version(lab):
    """What this version cannot go on with is told of and ended: it is in the way of nothing."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        left_behind(lab, manager, writer)
        assert lab.stop_mhad() == 0
        path = f"{manager.folder}/background"
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
        body = lines[0].replace(b'"version":1', b'"version":9', 1)[:-len(b',"sum":"01234567"}')]
        assert b'"version":9' in body
        lines[0] = body + b',"sum":"%08x"}' % crc32c(body)
        with open(path, "wb") as file:
            file.write(b"\n".join(lines))
        lab.start_mhad()
        assert any("cannot go on" in event["text"] for event in manager.wait_event("error"))
        assert "background" not in manager.status()
        lab["db1"].start()
        until(lambda: not lab["db1"].writable(), PATIENCE, "db1 read-only")
        manager.wait_state("steady")
        done = manager.order("rejoin", manager.cluster.name, "db1")
        assert done.returncode == 0, done.stdout + done.stderr
