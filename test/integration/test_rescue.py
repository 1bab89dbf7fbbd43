"""Nothing is lost while its bytes exist: what only the dead primary's disk or a replica's relay logs have is fed to the
replicas, the report proves it, and the old primary, started again where nobody reaches it, has nothing that they lack."""

import os
import re
import threading

import pytest

from labkit import LabError, Writer, compare
from labkit.check import checksums
from labkit.process import until
from manager import PATIENCE, Manager, states, steps
from test_feed import logs, write_mixed, write_much
from test_resume import dead, dying, names


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


def write_rows(server, table, rows=20):
    server.sql(f"CREATE TABLE app.{table} (id INT PRIMARY KEY AUTO_INCREMENT, word VARCHAR(50))",
               *[f"INSERT INTO app.{table} (word) VALUES ('{table} {number}')" for number in range(rows)])


def stop_inside(lab, replica, tries=5):
    """Stop the receiver of a replica in the middle of a large transaction."""
    lab.primary.sql("CREATE TABLE app.large (id INT PRIMARY KEY AUTO_INCREMENT, word LONGTEXT) ENGINE=InnoDB")
    all_received(lab, replica)
    wire = replica.connect()
    position = f"Read_{replica.word('Source')}_Log_Pos"
    try:
        with wire.cursor() as cursor:
            def read():
                cursor.execute(replica.word("status"))
                return cursor.fetchone()[position]
            for _ in range(tries):
                before = read()
                words = ["INSERT INTO app.large (word) VALUES " + ", ".join(["(REPEAT('large', 20000))"] * 10)] * 30
                writing = threading.Thread(target=lab.primary.sql, args=("BEGIN", *words, "COMMIT"),
                                           kwargs={"timeout": PATIENCE})
                writing.start()
                until(lambda before=before: read() > before, PATIENCE, "a beginning", 0)
                cursor.execute(f"{replica.word('stop')} IO_THREAD")
                writing.join()
                if before + 10000 < read() < lab.primary.position()[1] - 10000:
                    return
                replica.start_io()
                all_received(lab, replica)
    finally:
        wire.close()
    pytest.fail("the receiver was never stopped inside a transaction")


def all_received(lab, *replicas):
    for replica in replicas or lab.replicas:
        until(lambda replica=replica: replica.status()["read"] == lab.primary.position(), PATIENCE,
              f"{replica.name}: all received")


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
    primary = manager.well()
    for replica in lab.replicas:
        assert not writer.missing_on(replica), replica.name
    equal_to_the_dead(lab)


@pytest.mark.lab(replicas=3)
def test_three_positions(lab):
    """db2 has the least, db3 has not applied what it received, and db4 has the beginning of a large transaction."""
    manager = Manager.start(lab)
    db2, db3, db4 = lab.replicas
    all_applied(lab)
    db2.stop_io()
    db3.stop_sql()
    write_rows(lab.primary, "first")
    all_received(lab, db3, db4)
    db3.stop_io()
    write_rows(lab.primary, "second")
    stop_inside(lab, db4)
    write_rows(lab.primary, "third")
    lab.primary.kill()
    report = manager.wait_run()
    proved(report, lab)
    manager.well()
    equal_to_the_dead(lab)


# The old host is gone


def host_gone(lab, applied):
    """db2 alone has what the primary sent last, and must not be promoted: its relay logs feed db3."""
    manager = Manager.start(lab, servers={"db2": {"promotion": "never"}})
    db2, db3 = lab.replicas
    all_applied(lab)
    db3.stop_io()
    if not applied:
        db2.stop_sql()
    with last_writer(lab) as writer:
        write_mixed(lab, lab.primary, rounds=2, big=False)
        writer.stop()
    all_received(lab, db2)
    lab.primary.host.power_off()
    report = manager.wait_run()
    assert report["new_primary"] == "db3", report["text"]
    loss = report["loss"]
    assert loss["verdict"] == "unknown" and any("could not be read" in one for one in loss["details"]), loss
    assert states(report)["db2"] == "replica", report["text"]
    manager.well()
    assert not writer.missing_on(db3)
    old = lab["db1"]
    old.host.cut()
    old.host.power_on()
    compare([old, db2, db3], timeout=PATIENCE)


def test_host_gone(lab):
    host_gone(lab, applied=False)


@pytest.mark.modes("position")
@pytest.mark.lab(options={"relay_log_purge": 0})
def test_host_gone_and_applied(lab):
    """By position, what is applied already can be had for others only as long as the relay logs are kept."""
    host_gone(lab, applied=True)


# What is wrong with a log


def cut_last_transaction(lab):
    """The primary dead, with a last transaction of which 10 bytes are left out: (file, where it begins, its size)."""
    primary = lab.primary
    file, end = primary.position()
    primary.sql("INSERT INTO app.whole (word) VALUES ('torn')")
    size = primary.position()[1]
    primary.kill()
    os.truncate(f"{primary.data}/{file}", size - 10)
    return file, end, size


@pytest.mark.lab(replicas=1)
def test_torn_tail(lab):
    """The log ends in the middle of an event: no part of that transaction is anywhere, and the report tells of it."""
    manager = Manager.start(lab)
    db2, = lab.replicas
    all_applied(lab)
    db2.stop_io()
    write_rows(lab.primary, "whole")
    file, end, _ = cut_last_transaction(lab)
    loss = proved(manager.wait_run(), lab)
    assert any(f"{file}:{end}" in one for one in loss["details"]), loss
    assert any("never ended" in one for one in loss["details"]), loss
    manager.well()
    assert [row["word"] for row in db2.sql("SELECT word FROM app.whole")] == [f"whole {i}" for i in range(20)]


def held(manager, *words):
    """Nothing is opened, for a reason in which these words are."""
    report = manager.wait_run("aborted")
    assert "--accept-loss" in report["why"] and all(word in report["why"] for word in words), report["why"]
    assert not any(replica.writable() for replica in manager.lab.replicas)


def accepted(manager, *words):
    """An operator accepts the loss, and these words tell of it."""
    done = manager.order("failover", manager.cluster.name, "--yes", "--accept-loss", "what it says")
    assert done.returncode == 0, done.stderr
    loss = manager.report()["loss"]
    assert loss["verdict"] == "lost", loss
    assert all(any(word in one for one in loss["details"]) for word in words), loss
    manager.well()


def test_damaged_tail(lab):
    """The log ends in zeros, as file systems leave it behind a crash: what is before them is saved, and they are named."""
    manager = Manager.start(lab)
    all_applied(lab)
    for replica in lab.replicas:
        replica.stop_io()
    write_rows(lab.primary, "whole")
    file, end, size = cut_last_transaction(lab)
    with open(f"{lab.primary.data}/{file}", "ab") as log:
        log.write(bytes(100))
    held(manager, f" - {file}:{size + 90}", "wrong checksum")
    accepted(manager, f" - {file}:{size + 90}", f"ends at {file}:{end}", "wrong checksum")
    for replica in lab.replicas:
        assert replica.value("SELECT COUNT(*) FROM app.whole") == 20


@pytest.mark.lab(replicas=1)
def test_hole(lab):
    """A file in the middle is gone: nothing is opened, and what is missing is named; then the loss is accepted."""
    manager = Manager.start(lab)
    primary, (db2,) = lab.primary, lab.replicas
    all_applied(lab)
    db2.stop_io()
    for name in ("first", "second", "third"):
        write_rows(primary, name, 3)
        primary.sql("FLUSH BINARY LOGS")
    primary.kill()
    until(lambda: not primary.running(), PATIENCE, "dead")
    before, gone, behind, _ = logs(primary)
    os.rename(f"{primary.data}/{gone}", f"{lab.folder}/{gone}")
    held(manager, f"between {before} and {behind}")
    accepted(manager, f"between {before} and {behind}")
    tables = {row["t"] for row in db2.sql(
        "SELECT TABLE_NAME AS t FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'app'")}
    assert "first" in tables and "second" not in tables and "third" not in tables, tables


# mhad dies meanwhile


POINTS = [("find-tail", "settled"), ("collect-tail", "intent"), ("collect-tail", "settled"), ("open-feed", "intent"),
          ("open-feed", "settled"), ("rescue-candidate", "intent"), ("rescue-candidate", "settled"),
          ("repoint-replicas", "intent")]
SOME = [("rescue-candidate", "intent")]


def goes_on(lab, point):
    """Killed at that record, mhad is started again: one run, nothing lost."""
    manager = Manager.start(lab, environment=dying(MHAD_DIE_AT=" ".join(point)))
    all_applied(lab)
    for replica in lab.replicas:
        replica.stop_io()
    write_rows(lab.primary, "tail")
    with last_writer(lab) as writer:
        lab.primary.kill()
        dead(lab)
        writer.stop()
    lab.start_mhad()
    proved(manager.wait_run(), lab)
    manager.well()
    assert len(manager.history()) == 1 and manager.events("run-resumed")
    for replica in lab.replicas:
        assert not writer.missing_on(replica), replica.name
        assert replica.value("SELECT COUNT(*) FROM app.tail") == 20
    equal_to_the_dead(lab)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.parametrize("point", POINTS, ids=names(POINTS))
def test_killed_at(lab, point):
    goes_on(lab, point)


@pytest.mark.flavours("mysql56", "mysql9")
@pytest.mark.parametrize("point", SOME, ids=names(SOME))
def test_killed_at_mysql(lab, point):
    goes_on(lab, point)
