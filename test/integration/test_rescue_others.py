"""Rescues with replicas that are not like the others: a channel that insists on TLS, a transaction of their own."""

import pytest

from labkit import compare
from labkit.process import until
from manager import PATIENCE, Manager, brief, states
from test_feed import write_mixed
from test_rescue import all_applied, proved, write_rows


def rescued(lab, write=None, **settings):
    """Nobody receives what is written last; the primary is killed; the report, which must prove that nothing is lost."""
    manager = Manager.start(lab, **settings)
    all_applied(lab)
    for replica in lab.replicas:
        replica.stop_io()
    write_rows(lab.primary, "tail")
    (write or (lambda: write_mixed(lab, lab.primary, rounds=2, big=False)))()
    lab.primary.kill()
    report = manager.wait_run()
    proved(report, lab)
    return manager, report


@pytest.mark.flavours("mysql9")
def test_settings_are_put_back(lab):
    """A channel that insists on TLS and stays behind on purpose does so again afterwards."""
    db3 = lab["db3"]
    db3.sql("STOP REPLICA", "CHANGE REPLICATION SOURCE TO SOURCE_SSL = 1, SOURCE_DELAY = 1", "START REPLICA")
    until(db3.replicating, PATIENCE, "db3 replicates over TLS")
    _, report = rescued(lab, health=None)
    assert report["new_primary"] == "db2" and states(report)["db3"] == "replica", report["text"]
    until(lambda: db3.status()["executed"] == lab["db2"].position(), PATIENCE, "db3 level")
    raw = db3.status()["raw"]
    assert raw["Source_SSL_Allowed"] == "Yes" and raw["SQL_Delay"] == 1, raw
    assert raw["Source_User"] != "mhad_feed"
    compare([lab["db2"], db3])


def stray(server):
    """A replica gets a transaction of its own."""
    server.set_read_only(False)
    server.sql("CREATE TABLE app.astray (id INT PRIMARY KEY)")
    server.set_read_only(True)


@pytest.mark.flavours("mysql56", "mysql9")
@pytest.mark.modes("gtid")
def test_errant_transaction(lab):
    """A replica with a transaction of its own is left alone and told of; the other one takes over."""
    db3 = lab["db3"]
    stray(db3)
    own = db3.value("SELECT @@GLOBAL.server_uuid")
    manager, report = rescued(lab, health=None)
    assert report["new_primary"] == "db2", report["text"]
    assert states(report)["db3"] == "not attached" and own in report["text"], report["text"]
    assert not db3.replicating() and not db3.writable()
    assert manager.status()["primary"] == "db2"
    assert lab["db2"].value("SELECT COUNT(*) FROM app.tail") == 20


@pytest.mark.flavours("mysql56", "mysql9")
@pytest.mark.modes("gtid")
def test_old_primary_has_a_follower(lab):
    """db3 could not be attached, so the old primary comes back with more followers than the new one has: fenced all the same.
    When people give it its role back, it has it."""
    stray(lab["db3"])
    manager, report = rescued(lab, health=None)
    db1, db2 = lab["db1"], lab["db2"]
    assert report["new_primary"] == "db2" and states(report)["db3"] == "not attached", report["text"]
    db1.start()
    assert manager.wait_event("fenced")
    until(lambda: not db1.writable(), PATIENCE, "db1 fenced")
    manager.stays(lambda status: status.get("primary") in ("db2", None), 1, "the primary changed")
    assert manager.wait_state("steady")["primary"] == "db2" and db2.writable()
    db2.set_read_only(True)
    manager.wait(lambda status: manager.server("db2")["read_only"], "db2 is seen to be read-only")
    db1.set_read_only(False)
    manager.wait(lambda status: status.get("primary") == "db1", "db1 is the primary again")
    manager.stays(lambda status: status.get("primary") == "db1", 2, "the primary changed")
    assert db1.writable()


@pytest.mark.flavours("mysql56", "mysql9")
@pytest.mark.modes("gtid")
def test_both_start_as_before(lab):
    """The whole site went down after a failover, and all start as their files say: the old primary writable, the new one
    read-only. It is not for that the primary, and the new one's data wait for an operator."""
    stray(lab["db3"])
    manager, report = rescued(lab, health=None)
    db1, db2 = lab["db1"], lab["db2"]
    assert report["new_primary"] == "db2", report["text"]
    assert manager.status()["primary"] == "db2"
    lab.kill_mhad()
    write_rows(db2, "since")
    db2.kill()
    db1.start()
    db2.start()
    assert db1.writable() and not db2.writable()
    lab.start_mhad()
    until(lambda: not db1.writable(), PATIENCE, "db1 fenced")
    manager.stays(lambda status: status.get("primary") is None, 1, "somebody is the primary")
    assert any("db2 was the primary since and is read-only" in one["text"] for one in manager.status()["problems"])
    db2.set_read_only(False)
    assert manager.wait_state("steady")["primary"] == "db2"
    assert not db1.writable()


@pytest.mark.flavours("mysql56", "mysql9")
@pytest.mark.modes("gtid")
def test_new_primary_dies_alone(lab):
    """db3 follows the first primary still when the second one dies, with what only that has: nobody is opened in its place."""
    stray(lab["db3"])
    manager, report = rescued(lab, health=None, failover={"flap_window": "0"})
    db2 = lab["db2"]
    assert report["new_primary"] == "db2" and states(report)["db3"] == "not attached", report["text"]
    manager.wait_state("steady")
    write_rows(db2, "since")
    db2.kill()
    status = manager.wait(lambda status: any(one["id"] == "ambiguous_primary" for one in status["problems"]), "a problem")
    assert not status.get("primary"), brief(status)
    manager.stays(lambda status: status["last_run"]["run"] == report["run"] and not status.get("run"), 3, "a run began")
    refused = manager.order("failover", manager.cluster.name, "--ignore-last-failover", "--yes")
    assert refused.returncode and "server remove" in refused.stderr, refused
    assert not lab["db3"].writable()
    db2.start()
    db2.set_read_only(False)
    assert manager.wait_state("steady")["primary"] == "db2"
    assert db2.value("SELECT COUNT(*) FROM app.since") == 20 and db2.writable()
