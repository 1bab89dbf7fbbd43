"""Nothing is lost while its bytes exist: what only the dead primary's disk or a replica's relay logs have is fed to the
replicas, the report proves it, and the old primary, started again where nobody reaches it, has nothing that they lack."""

import pytest

from labkit import Writer, compare
from labkit.process import until
from manager import PATIENCE, Manager, states, steps
from test_feed import write_mixed


def last_writer(lab, rows=50):
    """A client of the primary's own, which goes nowhere else when that is dead."""
    writer = Writer(lab, interval_ms=1)
    writer.spec["places"] = [lab.primary.ip]
    return writer.start(rows=rows, timeout=PATIENCE)


def all_applied(lab, *replicas):
    for replica in replicas or lab.replicas:
        until(lambda replica=replica: replica.status()["executed"] == lab.primary.position(), PATIENCE,
              f"{replica.name}: all applied")


def write_slow(server, seconds=2):
    """A transaction that replicas need so long for, and are done with nothing else meanwhile."""
    server.sql("CREATE TABLE app.slow (a INT)", "SET SESSION binlog_format='STATEMENT'",
               f"INSERT INTO app.slow VALUES (IF(@@GLOBAL.server_id = {server.id}, 0, SLEEP({seconds})))")


def equal_to_the_dead(lab, old="db1", others=None):
    """The old primary, started again where nobody reaches it, has the same data."""
    dead = lab[old]
    dead.host.cut()
    dead.start()
    return compare([dead, *(others or [server for server in lab.servers if server is not dead])], timeout=PATIENCE)


def proved(report, lab):
    """Nothing is lost, and the report says from what it knows that."""
    loss = report["loss"]
    assert loss["verdict"] == "none", report["text"]
    assert "was read to its end at" in loss["proof"] and report["new_primary"] in loss["proof"], loss
    return loss


def test_nobody_has_the_tail(lab):
    """All receivers are stopped, clients go on writing, the primary is killed."""
    manager = Manager.start(lab)
    all_applied(lab)
    for replica in lab.replicas:
        replica.stop_io()
    write_mixed(lab, lab.primary, rounds=2, big=False)
    with last_writer(lab) as writer:
        write_slow(lab.primary)
        lab.primary.kill()
        report = manager.wait_run()
        writer.stop()
    proved(report, lab)
    print(report["text"])
    primary = manager.well()
    for replica in lab.replicas:
        assert not writer.missing_on(replica), replica.name
    equal_to_the_dead(lab)
