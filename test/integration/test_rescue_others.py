"""Rescues with replicas that are not like the others: a channel that insists on TLS, a transaction of their own."""

import pytest

from labkit import compare
from labkit.process import until
from manager import PATIENCE, Manager, states
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
    manager.stays(lambda status: status["primary"] in ("db2", None), 1, "the primary changed")
    assert manager.wait_state("steady")["primary"] == "db2" and db2.writable()
    db2.set_read_only(True)
    db1.set_read_only(False)
    manager.wait(lambda status: status["primary"] == "db1", "db1 is the primary again")
    manager.stays(lambda status: status["primary"] == "db1", 2, "the primary changed")
    assert db1.writable()
