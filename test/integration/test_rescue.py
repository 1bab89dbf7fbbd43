"""Nothing is lost while its bytes exist: what only the dead primary's disk or a replica's relay logs have is fed to the
replicas, the report proves it, and the old primary, started again where nobody reaches it, has nothing that they lack."""

import threading

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
