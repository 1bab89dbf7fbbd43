"""Nothing is lost while its bytes exist: what only the dead primary's disk or a replica's relay logs have is fed to the
replicas, the report proves it, and the old primary, started again where nobody reaches it, has nothing that they lack."""

import json
import os
import re
import shlex
import threading
import time

import pytest

from labkit import LabError, Writer, compare
from labkit.check import checksums
from labkit.flavours import flavour_named
from labkit.mhad import merged
from labkit.process import until
from manager import PATIENCE, QUICK, Manager, states, steps
from test_feed import logs, write_mixed, write_much
from test_resume import dead, dying, names


def last_writer(lab, rows=50):
    """A client of the primary's own, which goes nowhere else when that is dead."""
    writer = Writer(lab, interval_ms=1)
    writer.spec["places"] = [(lab.primary.ip, lab.primary.port)]
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


def kept(manager):
    with open(f"{manager.folder}/state.json", encoding="utf-8") as file:
        return json.load(file).get("identities", {})


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.parametrize("how", ["restart", "reload"])
def test_known_to_the_next_daemon(lab, how):
    """Where the logs are has been read by a daemon that is not there any more when the primary is dead."""
    manager = Manager.start(lab)
    db1 = lab["db1"]
    db1.sql("CREATE TABLE app.kept (id INT PRIMARY KEY)")
    all_applied(lab)
    for replica in lab.replicas:
        replica.stop_io()
    for i in range(50):
        db1.sql(f"INSERT INTO app.kept VALUES ({i})")
    until(lambda: len(kept(manager)) == len(lab.servers), PATIENCE, "identities in the state")
    if how == "restart":
        lab.kill_mhad()
        db1.kill()
        lab.start_mhad()
    else:
        manager.order("pause", manager.cluster.name)
        db1.kill()
        manager.wait_health("held")
        lab.mhad_config(**merged(QUICK, {"detection": {"restart_grace": "150ms"}}))
        assert manager.order("reload").returncode == 0
        assert manager.order("resume", manager.cluster.name).returncode == 0
    proved(manager.wait_run(), lab)
    manager.well()
    assert all(replica.value("SELECT COUNT(*) FROM app.kept") == 50 for replica in lab.replicas)


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


def host_gone(lab, applied, restarted=False):
    """db2 alone has what the primary sent last, and must not be promoted: its relay logs feed db3."""
    manager = Manager.start(lab, servers={"db2": {"promotion": "never"}})
    db2, db3 = lab.replicas
    all_applied(lab)
    if applied:  # what was purged before is not missed
        with Writer(lab) as busy:  # parallel appliers leave a file with the next event only
            done = manager.order("purge-relay-logs", manager.cluster.name)
            busy.stop()
        all_applied(lab)
        assert done.returncode == 0 and "run-completed" in done.stdout, done.stdout + done.stderr
    db3.stop_io()
    if not applied:
        db2.stop_sql()
    if restarted:
        assert manager.order("pause", "app1", "--reason", "a new kernel").returncode == 0
        write_rows(lab.primary, "before")
        all_received(lab, db2)
        lab.primary.restart()
        until(lambda: db2.status()["io"] == "Yes", PATIENCE, "db2 is connected again")
        assert manager.order("resume", "app1").returncode == 0
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


@pytest.mark.also("mariadb11")
def test_host_gone(lab):
    host_gone(lab, applied=False)


@pytest.mark.also("mariadb11")
@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(options={"relay_log_purge": 0})
def test_host_gone_that_was_restarted(lab):
    """In between the primary began a new file, and MariaDB 11 does not send the head of it to who comes by GTID: one replica
    does, the other goes by position."""
    db2 = lab["db2"]
    all_applied(lab)
    db2.sql("STOP SLAVE", "CHANGE MASTER TO MASTER_USE_GTID=slave_pos", "START SLAVE")
    until(db2.replicating, PATIENCE, "db2 replicates by GTID")
    host_gone(lab, applied=False, restarted=True)


@pytest.mark.modes("position")
@pytest.mark.lab(options={"relay_log_purge": 0})
def test_host_gone_and_applied(lab):
    """By position, what is applied already can be had for others only as long as the relay logs are kept, as a purge does."""
    host_gone(lab, applied=True)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("gone", [False, True], ids=["process", "host"])
def test_broken_giver(lab, gone):
    """By GTID, too: db2 alone has the tail and cannot apply it; db3 is fed it from the dead primary's disk, or from db2's."""
    manager = Manager.start(lab)
    db2, db3 = lab.replicas
    lab.primary.sql("CREATE TABLE app.clash (id INT PRIMARY KEY)")
    all_applied(lab)
    db3.stop_io()
    unlocked = ["SET GLOBAL super_read_only=0"] * db2.flavour.has_super_read_only
    db2.sql(*unlocked, "SET SESSION sql_log_bin=0", "INSERT INTO app.clash VALUES (1)")
    lab.primary.sql("INSERT INTO app.clash VALUES (1)")
    write_rows(lab.primary, "tail")
    all_received(lab, db2)
    until(lambda: db2.status()["sql"] == "No", PATIENCE, "broken")
    lab.primary.host.power_off() if gone else lab.primary.kill()
    report = manager.wait_run()
    assert report["new_primary"] == "db3", report["text"]
    assert report["loss"]["verdict"] == ("unknown" if gone else "none"), report["text"]
    old = lab["db1"]
    old.host.cut()
    old.host.power_on() if gone else old.start()
    compare([old, db3], timeout=PATIENCE)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=1)
def test_nothing_received_yet(lab):
    """Pointed at its source anew and nothing received since: no position tells which of the files it lacks."""
    manager = Manager.start(lab)
    db2, = lab.replicas
    all_applied(lab)
    source = db2.word("Source").upper()
    change = "CHANGE MASTER TO" if source == "MASTER" else "CHANGE REPLICATION SOURCE TO"
    stop = db2.word("stop").split()[1]
    db2.sql(f"STOP {stop}", f"{change} {source}_HOST='{lab.primary.ip}'", f"START {stop} IO_THREAD")
    until(lambda: db2.status()["io"] == "Yes", PATIENCE, "it follows")
    db2.stop_io()
    for name in ("first", "second", "third"):
        write_rows(lab.primary, name)
        lab.primary.sql("FLUSH BINARY LOGS")
    write_rows(lab.primary, "last")
    lab.primary.kill()
    proved(manager.wait_run(), lab)
    equal_to_the_dead(lab)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=1)
def test_undone_while_it_applies(lab):
    """Cancelled while the candidate is at work on what it was fed: by position nothing is applied twice, for it is given back
    to the old primary from where it has stopped. A table without a key would take it."""
    manager = Manager.start(lab)
    db2, = lab.replicas
    lab.primary.sql("CREATE TABLE app.many (a INT)",
                    "CREATE PROCEDURE app.fill(n INT) BEGIN DECLARE i INT DEFAULT 0; "
                    "WHILE i < n DO INSERT INTO app.many VALUES (i); SET i = i + 1; END WHILE; END")
    all_applied(lab)
    db2.stop_io()
    unsynced = ["SET GLOBAL sync_binlog=0", "SET GLOBAL innodb_flush_log_at_trx_commit=2"]
    lab.primary.sql(*unsynced, "CALL app.fill(10000)", timeout=PATIENCE)
    lab.primary.kill()
    until(lambda: int(db2.value("SELECT COUNT(*) FROM app.many")) > 300, PATIENCE, "it is fed", 0.02)
    done = manager.order("run", "cancel", manager.cluster.name)
    assert done.returncode == 0, done.stderr
    manager.wait_event("run-aborted")
    lab.stop_mhad()
    assert int(db2.value("SELECT COUNT(*) FROM app.many")) < 10000, "it was cancelled too late to show anything"
    db2.sql(*unsynced)
    lab.primary.start()
    all_applied(lab)
    assert int(db2.value("SELECT COUNT(*) FROM app.many")) == 10000


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
def test_account_without_password(lab):
    """A feed has a password of its own, which the account of replication has not: it is not left to it."""
    manager = Manager.start(lab, replication={"password_file": None})
    lab.primary.sql("SET PASSWORD FOR 'repl'@'%' = ''")
    all_applied(lab)
    for replica in lab.replicas:
        replica.sql("STOP SLAVE", "CHANGE MASTER TO MASTER_PASSWORD=''", "START SLAVE")
    all_received(lab)
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["io"] == "Yes", PATIENCE, "connected without a password")
        replica.stop_io()
    write_rows(lab.primary, "tail")
    lab.primary.kill()
    proved(manager.wait_run(), lab)
    manager.well()
    done = manager.order("check", "replication", manager.cluster.name)
    assert "replication.password is not configured" in done.stdout, done.stdout


def slow_one(lab):
    """A failover that does not wait for db3: (manager, its report, db3)."""
    manager = Manager.start(lab, servers={"db3": {"promotion": "never"}}, failover={"repoint_timeout": "2s"})
    db3 = lab["db3"]
    all_applied(lab)
    for replica in lab.replicas:
        replica.stop_io()
    lab.primary.sql("CREATE TABLE app.slow (a INT)", "SET SESSION binlog_format='STATEMENT'",
                    *[f"INSERT INTO app.slow VALUES (IF(@@GLOBAL.server_id = {db3.id}, SLEEP(2), 0))"] * 4)
    write_rows(lab.primary, "tail")
    lab.primary.kill()
    report = manager.wait_run()
    assert states(report)["db3"] != "replica", report["text"]
    return manager, report, db3


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
def test_slow_one_goes_on(lab):
    """A slow replica goes on being fed in the background, beyond its time and across a restart of mhad, and is attached then."""
    manager, report, db3 = slow_one(lab)
    assert manager.status()["background"]["procedure"], manager.status()
    lab.kill_mhad()
    lab.start_mhad()
    until(lambda: "afterwards" in manager.report(report["run"]), PATIENCE, "it is attached", 0.2)
    assert db3.status()["source"] == lab["db2"].ip and db3.replicating()
    equal_to_the_dead(lab)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
@pytest.mark.lab(replicas=3)
def test_slow_one_is_not_forgotten(lab):
    """The new primary dies before it is attached: the next report names it."""
    manager, report, _ = slow_one(lab)
    manager.wait_state("steady")
    manager.order("acknowledge", manager.cluster.name)
    lab[report["new_primary"]].kill()
    until(lambda: len(manager.events("run-completed")) > 1, PATIENCE, "the next failover")
    after = manager.report()
    assert after["old_primary"] == report["new_primary"], after["text"]
    assert "db3" in states(after), after["text"]


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


def to_type(why):
    """What a shell makes of the word that a refusal ends with."""
    words = shlex.split(re.search(r"--accept-loss '.*?'(?=[^']|$)", why)[0])
    assert words[0] == "--accept-loss" and len(words) == 2, why
    return words[1]


def held(manager, *words):
    """Nothing is opened, for a reason in which these words are."""
    report = manager.wait_run("aborted")
    assert "--accept-loss" in report["why"] and all(word in report["why"] for word in words), report["why"]
    assert not any(replica.writable() for replica in manager.lab.replicas)


def told_to_fail_over(manager, loss):
    """mhactl failover that accepts a loss, when mhad does not try by itself just then."""
    while True:
        done = manager.order("failover", manager.cluster.name, "--yes", "--accept-loss", loss)
        if "is under way" not in done.stderr:
            return done
        time.sleep(0.2)


def accepted(manager, *words):
    """An operator accepts another loss, and nothing is opened; then this one, as it is printed, and these words tell of it."""
    assert told_to_fail_over(manager, "what is missing").returncode == 1
    assert not any(replica.writable() for replica in manager.lab.replicas)
    whys = [manager.report(run["run"])["why"] for run in manager.history()]  # it tries by itself, too
    assert any("That is not what was accepted ('what is missing')" in why for why in whys), whys
    assert len({to_type(why) for why in whys}) == 1, whys
    why = whys[0]
    done = told_to_fail_over(manager, to_type(why))
    assert done.returncode == 0, done.stderr + manager.report()["text"]
    loss = manager.report()["loss"]
    assert loss["verdict"] == "lost" and loss["accepted"] == to_type(why), loss
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


@pytest.mark.flavours("mariadb")
@pytest.mark.lab(replicas=1)
def test_no_room(lab):
    """mhad's own disk is full: what the dead primary's disk has is not passed over. With room made nothing is lost."""
    manager = Manager.start(lab)
    db2, = lab.replicas
    all_applied(lab)
    db2.stop_io()
    end = "{}:{}".format(*lab.primary.position())
    write_much(lab.primary, 3)
    place = f"{manager.folder}/rescue"
    os.makedirs(place, exist_ok=True)
    lab.mgr.run("mount", "-t", "tmpfs", "-o", "size=1m,mode=700", "mhad-full", place)
    try:
        lab.primary.kill()
        held(manager, f"{end} - ", place, "No space left on device", "Make room", f"mhactl failover {manager.cluster.name}.")
        lab.mgr.run("mount", "-o", "remount,size=64m", place)
        manager.order("failover", manager.cluster.name, "--yes")  # unless it tries again by itself just then
        manager.wait_event("run-completed")
        proved(manager.report(), lab)
        manager.well()
        equal_to_the_dead(lab)
    finally:
        lab.stop_mhad()
        lab.mgr.run("umount", place)


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


# All kinds of logs and replicas


KINDS = {  # of each flavour: the options of all servers
    "mariadb": {"log_bin_compress": 1, "log_bin_compress_min_len": 10, "slave_parallel_threads": 4},
    "mysql56": {"slave_parallel_workers": 4},
    "mysql9": {"binlog_transaction_compression": 1},
}


def write_kinds(primary):
    """What else there is: rows in row format, two domains, tags, something that db3 filters out."""
    write_rows(primary, "plain")
    primary.sql("CREATE DATABASE hidden", "CREATE TABLE hidden.t (id INT PRIMARY KEY)", "INSERT INTO hidden.t VALUES (1)")
    if primary.flavour.like == "mariadb":
        primary.sql("SET SESSION gtid_domain_id=7", "CREATE TABLE app.domain (id INT PRIMARY KEY)",
                    *[f"INSERT INTO app.domain VALUES ({i})" for i in range(10)])
    elif primary.flavour.name == "mysql9" and primary.mode == "gtid":
        primary.sql("SET gtid_next='AUTOMATIC:blue'", "INSERT INTO app.plain (word) VALUES ('tagged')",
                    "CREATE TABLE app.tagged (id INT)")


def without_hidden(server):
    return {table: value for table, value in checksums(server).items() if not table.startswith("hidden.")}


@pytest.mark.also("mariadb11")
def test_kinds(make_lab, flavour, mode):
    """Compressed events, parallel appliers, a filter and a delay on db3, no checksums: all is put back as it was."""
    checksum = "NONE" if mode == "position" else "CRC32"
    lab = make_lab(flavour=flavour, mode=mode, options={**KINDS[flavour_named(flavour).like], "binlog_checksum": checksum})
    db2, db3 = lab.replicas
    db3.extra_options["replicate_wild_ignore_table"] = "hidden.%"
    db3.write_config()
    db3.restart()
    db3.delay(2)
    # MySQL 5.6 notes no GTID for what is filtered out: it is never level then, and not waited for as long as by default.
    manager = Manager.start(lab, health=None, failover={"repoint_timeout": "20s"})
    manager.wait_state("steady")
    all_applied(lab)
    settings = {replica: put_back(replica) for replica in lab.replicas}
    for replica in lab.replicas:
        replica.stop_io()
    write_kinds(lab.primary)
    write_mixed(lab, lab.primary, rounds=2, big=False)
    lab.primary.kill()
    report = manager.wait_run()
    proved(report, lab)
    assert report["new_primary"] == "db2", report["text"]
    until(lambda: db3.status()["source"] == db2.ip, PATIENCE, "db3 follows db2")
    until(lambda: db3.replicating(), PATIENCE, "db3 replicates")
    assert put_back(db3) == settings[db3]
    old = lab["db1"]
    old.host.cut()
    old.start()
    compare([old, db2], timeout=PATIENCE)
    until(lambda: without_hidden(db3) == without_hidden(db2), PATIENCE, "db3 has the same")
    assert not db3.sql("SHOW TABLES FROM hidden") if db3.sql("SHOW DATABASES LIKE 'hidden'") else True


def put_back(replica):
    """The settings of replication that a feed changes or might lose."""
    raw, source = replica.status()["raw"], replica.word("Source")
    names_ = [f"{source}_User", f"{source}_Port", f"{source}_SSL_Allowed", "Connect_Retry", "SQL_Delay", "Auto_Position",
              "Using_Gtid", "Replicate_Wild_Ignore_Table"]
    return {name: raw.get(name) for name in names_}


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.lab(semisync=True)
def test_semi_sync(lab):
    """Replicas that acknowledge are fed as others are."""
    manager = Manager.start(lab)
    all_applied(lab)
    timeout = lab.primary.word("semisync_source").replace("enabled", "timeout")
    lab.primary.sql(f"SET GLOBAL {timeout}=50")
    for replica in lab.replicas:
        replica.stop_io()
    write_rows(lab.primary, "tail")
    lab.primary.kill()
    proved(manager.wait_run(), lab)
    primary = manager.well()
    for replica in lab.replicas:
        role = "semisync_source" if replica is primary else "semisync_replica"
        assert int(replica.value(f"SELECT @@global.{replica.word(role)}")) == 1, replica.name
    equal_to_the_dead(lab)


KNOCK = """
import socket, sys
wire = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5)
print(wire.recv(9))
"""


@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=1)
def test_stranger_at_the_feed(lab):
    """While db2 is fed, another host knocks: nothing is said to it, and it is counted."""
    manager = Manager.start(lab, rescue={"listen": lab.mgr.ip})
    db2, = lab.replicas
    all_applied(lab)
    db2.stop_io()
    write_rows(lab.primary, "tail")
    write_slow(lab.primary, 4)
    lab.primary.kill()
    where = until(lambda: re.search(rf"a feed waits for it at {lab.mgr.ip}:(\d+)", str(manager.status())), PATIENCE,
                  "a feed")
    try:
        said = lab.client.run("/usr/bin/python3", "-I", "-c", KNOCK, lab.mgr.ip, where[1]).stdout.strip()
    except LabError as error:
        said = str(error)
    assert said == "b''" or "reset" in said, said
    report = manager.wait_run()
    proved(report, lab)
    assert steps(report)["rescue-candidate"]["state"] == "done"
    manager.well()
    equal_to_the_dead(lab)


# Much

MUCH = os.environ.get("MHAD_RESCUE_MB")
EVERY = ["mariadb", "mysql56", "mysql9"]


@pytest.mark.flavours(*EVERY if MUCH else ["mariadb"])
@pytest.mark.modes("position")
def test_much(lab):
    much(lab)


@pytest.mark.flavours(*EVERY if MUCH else ["mysql9"])
@pytest.mark.modes("gtid")
def test_much_by_gtid(lab):
    much(lab)


def much(lab):
    """200 MB behind, or MHAD_RESCUE_MB, with that for each server: all arrives, and mhad does not grow with it."""
    megabytes = int(MUCH or 200)
    manager = Manager.start(lab)
    all_applied(lab)
    for replica in lab.replicas:
        replica.stop_io()
    write_much(lab.primary, megabytes)
    process, = lab.mgr.processes("mhad")
    before = resident_mb(process.pid)
    lab.primary.kill()
    most = before

    def over():
        nonlocal most
        most = max(most, resident_mb(process.pid))
        return manager.events("run-completed", "run-aborted")

    until(over, PATIENCE + megabytes, "the end of the run", 0.05)
    proved(manager.report(), lab)
    print(f"{lab.flavour.name} {lab.mode}: {megabytes} MB, mhad grew by {most - before:.1f} MB")
    assert most - before < 32, f"{before} MB before, {most} MB at most"
    manager.well(timeout=PATIENCE + megabytes)
    equal_to_the_dead(lab)


def resident_mb(pid):
    with open(f"/proc/{pid}/statm", encoding="utf-8") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6
