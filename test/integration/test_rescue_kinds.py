"""Rescues of every kind of log and replica: without checksums, compressed, applied in parallel, filtered, of several domains,
with tags, over TLS, delayed, semi-synchronous; and a replica with a transaction of its own."""

import pytest

from labkit import compare
from labkit.check import checksums
from labkit.process import until
from manager import PATIENCE, Manager, states
from test_feed import write_mixed
from test_rescue import all_applied, equal_to_the_dead, proved, write_rows


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


@pytest.mark.modes("position")
@pytest.mark.lab(options={"binlog_checksum": "NONE"})
def test_no_checksums(lab):
    manager, _ = rescued(lab)
    manager.well()
    equal_to_the_dead(lab)


@pytest.mark.flavours("mariadb")
@pytest.mark.lab(options={"log_bin_compress": 1, "log_bin_compress_min_len": 10, "slave_parallel_threads": 4,
                          "slave_parallel_mode": "optimistic"})
def test_compressed_and_parallel_mariadb(lab):
    manager, _ = rescued(lab)
    manager.well()
    equal_to_the_dead(lab)


@pytest.mark.flavours("mysql9")
@pytest.mark.lab(options={"binlog_transaction_compression": 1, "replica_parallel_workers": 4})
def test_compressed_and_parallel_mysql(lab):
    manager, _ = rescued(lab)
    manager.well()
    equal_to_the_dead(lab)


@pytest.mark.flavours("mysql56")
@pytest.mark.modes("position")
@pytest.mark.lab(options={"slave_parallel_workers": 4})
def test_parallel_mysql56(lab):
    manager, _ = rescued(lab)
    manager.well()
    equal_to_the_dead(lab)


@pytest.mark.flavours("mariadb", "mysql9")
def test_filters(lab):
    """A replica with a filter of its own is fed, too, and goes on without what it filters; it is not promoted."""
    db3 = lab["db3"]
    lab.primary.sql("CREATE TABLE app.ignored (id INT PRIMARY KEY)")
    all_applied(lab)
    if lab.flavour.name == "mariadb":
        db3.sql("STOP SLAVE", "SET GLOBAL replicate_ignore_table = 'app.ignored'", "START SLAVE")
    else:
        db3.sql("STOP REPLICA SQL_THREAD", "CHANGE REPLICATION FILTER REPLICATE_IGNORE_TABLE = (app.ignored)",
                "START REPLICA SQL_THREAD")
    until(db3.replicating, PATIENCE, "db3 replicates")
    _, report = rescued(lab, lambda: lab.primary.sql("INSERT INTO app.ignored VALUES (1)"), health=None,
                        servers={"db3": {"promotion": "prefer"}})
    assert report["new_primary"] == "db2" and states(report)["db3"] == "replica", report["text"]
    db2 = lab["db2"]
    until(lambda: db3.status()["executed"] == db2.position(), PATIENCE, "db3 level")
    left, right = checksums(db2), checksums(db3)
    assert {table for table in left if left[table] != right.get(table)} == {"app.ignored"}, (left, right)
    assert db2.value("SELECT COUNT(*) FROM app.ignored") == 1 and db3.value("SELECT COUNT(*) FROM app.ignored") == 0


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_two_domains(lab):
    primary = lab.primary

    def write():
        for number in range(10):
            primary.sql(f"SET SESSION gtid_domain_id = {number % 2 * 7}",
                        f"INSERT INTO app.tail (word) VALUES ('domain {number}')")

    primary.sql("SET SESSION gtid_domain_id = 7", "CREATE TABLE app.other (id INT)")
    manager, report = rescued(lab, write)
    assert "7-1-" in report["text"], report["text"]
    manager.well()
    equal_to_the_dead(lab)


@pytest.mark.flavours("mysql9")
@pytest.mark.modes("gtid")
def test_tags(lab):
    primary = lab.primary

    def write():
        for number in range(4):
            primary.sql(f"SET SESSION gtid_next = 'AUTOMATIC{':blue' if number % 2 else ''}'",
                        f"INSERT INTO app.tail (word) VALUES ('tag {number}')")

    primary.sql("SET SESSION gtid_next = 'AUTOMATIC:blue'", "CREATE TABLE app.other (id INT)")
    manager, report = rescued(lab, write)
    assert "blue" in report["text"], report["text"]
    manager.well()
    equal_to_the_dead(lab)


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


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.lab(semisync=True)
def test_semisync(lab):
    """Semi-sync replicas are fed as well; the primary had given up waiting for them."""
    lab.primary.sql("SET GLOBAL " + ("rpl_semi_sync_master_timeout" if lab.flavour.name == "mariadb"
                                     else "rpl_semi_sync_source_timeout") + " = 100")
    manager, _ = rescued(lab)
    manager.well()
    equal_to_the_dead(lab)


@pytest.mark.flavours("mysql56", "mysql9")
@pytest.mark.modes("gtid")
def test_errant_transaction(lab):
    """A replica with a transaction of its own is left alone and told of; the other one takes over."""
    db3 = lab["db3"]
    db3.set_read_only(False)
    db3.sql("CREATE TABLE app.astray (id INT PRIMARY KEY)")
    db3.set_read_only(True)
    own = db3.value("SELECT @@GLOBAL.server_uuid")
    manager, report = rescued(lab, health=None)
    assert report["new_primary"] == "db2", report["text"]
    assert states(report)["db3"] == "not attached" and own in report["text"], report["text"]
    assert not db3.replicating() and not db3.writable()
    assert manager.status()["primary"] == "db2"
    compare([lab["db2"], lab["db2"]])
    assert lab["db2"].value("SELECT COUNT(*) FROM app.tail") == 20
