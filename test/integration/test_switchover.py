"""The primary role is handed over: nothing lost, nothing written twice, and everything as it was when it cannot be."""

import contextlib
import json
import os
import pty
import re
import select
import signal
import stat
import threading
import time

import pymysql
import pytest

from labkit import Writer, folder, invariants
from labkit.host import BUILD
from labkit.mhad import merged
from labkit.process import until
from manager import PATIENCE, Manager, check_read_only, states, steps

SLOW = {"switchover": {"running_updates_limit": "1h", "running_seconds_limit": "1h", "max_write_block": "30s"}}


def start(lab, **sections):
    """A manager that a slow machine does not impress."""
    return Manager.start(lab, **merged(SLOW, sections))


def switch(manager, *arguments, status=0):
    done = manager.order("switch", manager.cluster.name, "--yes", *arguments)
    assert done.returncode == status, f"{done.stdout}{done.stderr}\n{manager.lab.mhad_log_tail(80)}"
    return done


def only_writable(lab):
    return [server.name for server in lab.servers if server.running() and server.writable()]


def well(manager, primary, writers=(), demoted=True):
    """Exactly that primary, with the address; everybody follows it; nothing acknowledged is missing anywhere."""
    lab = manager.lab
    manager.wait_health("ok" if demoted else "warning")
    assert manager.status()["primary"] == primary
    for writer in writers:
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
    assert only_writable(lab) == [primary]
    assert [one.name for one in lab.servers if lab.address in one.host.addresses()] == [primary]
    if demoted:
        assert invariants(lab, timeout=60).name == primary
        check_read_only(manager.cluster, lab[primary], ())
        for writer in writers:
            for server in lab.servers:
                assert not writer.missing_on(server), server.name
    manager.secrets()


def undone(manager, writer=None):
    """As it was before: db1 is the primary and has the address, db2 and db3 follow it, and the report says why."""
    report = manager.report()
    assert report["outcome"] == "aborted" and "new_primary" not in report, report["text"]
    well(manager, "db1", [writer] if writer else [])
    return report


# It works


@pytest.mark.also("mariadb11")
def test_there_and_back(lab):
    """Ten times, under transactions of eight clients: nothing lost, nothing twice, the same data everywhere."""
    Writer.make_tables(lab)
    manager = start(lab)
    writers = [Writer(lab, interval_ms=100, read_timeout=5, rich=1000).start(timeout=PATIENCE) for _ in range(8)]
    for there in ("db2", "db1") * 9 + ("db3", "db1"):
        switch(manager, "--to", there)
        report = manager.report()
        assert report["outcome"] == "completed" and report["new_primary"] == there
        assert report["write_block_ms"] < 30000 and "verdict" not in report and "loss" not in report
        assert report["times"]["blocked"] <= report["times"]["opened"] <= report["times"]["ended"]
        assert sorted(states(report).values()) == ["primary", "replica", "replica"], report["text"]
        assert manager.wait_health("ok")["primary"] == there
        for writer in writers:
            writer.wait_acknowledged(3, PATIENCE)
    well(manager, "db1", writers)
    for writer in writers:
        for server in lab.servers:
            counted, rows = writer.counted_on(server)
            assert counted == rows >= len(writer.account().acks), server.name
    assert [run["outcome"] for run in manager.history()] == ["completed"] * 20
    assert not manager.events("fenced") and not manager.events("suspect")


@pytest.mark.flavours("mariadb", "mysql9")
def test_not_demoted(lab):
    manager = start(lab)
    with Writer(lab) as writer:
        switch(manager, "--to", "db2", "--no-demote")
        assert states(manager.report()) == {"db1": "detached", "db2": "primary", "db3": "replica"}
        assert lab["db1"].status() is None and not lab["db1"].writable()
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
        assert not writer.missing_on(lab["db2"])
        assert not manager.events("fenced")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_failover_afterwards(lab):
    """A switchover is no failover: the next death is acted upon at once."""
    manager = start(lab)
    with Writer(lab) as writer:
        switch(manager, "--to", "db2")
        manager.wait_health("ok")
        run = manager.report()["run"]
        lab["db2"].kill()
        assert manager.wait_run(after=run)["procedure"] == "failover"
        manager.well([writer], dead=["db2"])


# It is refused


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_refusals(lab):
    """Each has a sentence and an exit status of its own, and changes nothing."""
    manager = start(lab)
    assert "is the primary already" in switch(manager, "--to", "db1", status=20).stderr
    assert "its servers are db1, db2, db3" in switch(manager, "--to", "db9", status=21).stderr
    assert "stay or follow" in switch(manager, "--multi-tier", "leave", status=1).stderr
    assert "no cluster" in manager.order("switch", "app9", "--yes").stderr
    assert manager.order("cancel", "app1").returncode == 33
    manager.order("pause", "app1")
    assert "paused" in switch(manager, status=24).stderr
    manager.order("resume", "app1")
    done = manager.order("switch", "app1")
    assert done.returncode == 30 and "--yes" in done.stderr

    lab["db3"].set_read_only(False)
    manager.wait(lambda status: status["problems"], "a problem")
    assert "writable" in switch(manager, status=26).stderr
    assert manager.order("switch", "app1", "--check").returncode == 26
    lab["db3"].set_read_only(True)
    manager.wait_health("ok")

    lab["db3"].kill()
    manager.wait(lambda status: not manager.server("db3")["up"], "db3 is down")
    assert "db3 cannot become the primary, it is down" in switch(manager, "--to", "db3", status=22).stderr
    done = switch(manager, "--to", "db2", status=29)
    assert "left behind: db3" in done.stdout
    manager.wait_state("steady")
    assert manager.order("switch", "app1", "--check").returncode == 29
    assert only_writable(lab) == ["db1"] and not manager.events("fenced")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=1)
def test_answer_comes_late(lab):
    """Somebody has switched while the question was on the screen: what it asked for is not what would be done now."""
    manager = start(lab)
    ours, its = pty.openpty()
    asking = lab.mgr.popen([f"{BUILD}/client/mhactl", "switch", "app1"], {"TERM": "dumb"}, stdin=its, stdout=its, stderr=its)
    os.close(its)
    said = b""
    while b"from db1 to db2 now? [y/N]" not in said:
        assert select.select([ours], [], [], PATIENCE)[0], said
        said += os.read(ours, 4096)
    switch(manager, "--to", "db2")
    manager.wait_health("ok")
    os.write(ours, b"y\n")
    assert asking.wait(PATIENCE) == 35
    assert b"its primary is db2 now, not db1" in os.read(ours, 4096)
    os.close(ours)
    assert manager.wait_health("ok")["primary"] == "db2" and len(manager.history()) == 1


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_refused_without_a_primary(lab):
    manager = start(lab, failover={"mode": "monitor"})
    lab["db1"].kill()
    manager.wait_state("held")
    done = switch(manager, "--to", "db2", status=27)
    assert "is not alive" in done.stderr and not only_writable(lab)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_refused_while_not_steady(lab):
    """As long as a server was not asked yet nobody knows the whole cluster."""
    lab["db3"].host.cut()
    manager = Manager.start(lab, health=None, detection={"connect_timeout": "45s"})
    manager.wait(lambda status: status.get("primary") == "db1", "db1 is known")
    for order in (["--yes", "--to", "db2"], ["--check"]):
        done = manager.order("switch", "app1", *order)
        assert done.returncode == 28, done.stdout + done.stderr
        assert "app1 is starting, not steady: try again in a moment" in done.stdout + done.stderr
    assert not manager.status().get("last_run")
    lab["db3"].host.heal()
    manager.wait_health("ok")
    assert manager.order("switch", "app1", "--check").returncode == 0


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_one_at_a_time_and_cancelled(lab):
    """While one is under way there is no other; it can be taken back until the new primary is open, not after."""
    wait = hook(lab, f"while [ ! -e {lab.mgr.folder}/go ]; do sleep 0.1; done\n", "wait")
    manager = start(lab, hooks={"stop": [wait], "start": [wait]})
    with Writer(lab) as writer:
        order = threading.Thread(target=manager.order, args=("switch", "app1", "--to", "db2", "--yes"))
        order.start()
        manager.wait(lambda status: status.get("run", {}).get("step") == "stop-hook", "the stop hook")
        assert "under way" in switch(manager, "--to", "db3", status=25).stderr
        done = manager.order("cancel", "app1", "--reason", "lunch")
        assert done.returncode == 0 and "undone" in done.stdout
        order.join(PATIENCE)
        assert "lunch" in manager.wait_run("aborted")["why"]
        assert only_writable(lab) == ["db1"] and with_address(lab) == ["db1"]

        folder.write(f"{lab.mgr.folder}/go", "")
        until(lambda: manager.status()["state"] == "steady", PATIENCE, "it is steady")
        switch(manager, "--to", "db2")
        well(manager, "db2", [writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_too_late(lab):
    wait = hook(lab, f"while [ ! -e {lab.mgr.folder}/go ]; do sleep 0.1; done\n", "wait")
    manager = start(lab, hooks={"start": [wait]})
    order = threading.Thread(target=manager.order, args=("switch", "app1", "--to", "db2", "--yes"))
    order.start()
    manager.wait(lambda status: status.get("run", {}).get("step") == "start-hook", "the start hook")
    done = manager.order("cancel", "app1")
    assert done.returncode == 32 and "point of no return" in done.stderr
    folder.write(f"{lab.mgr.folder}/go", "")
    order.join(PATIENCE)
    well(manager, "db2")


@pytest.mark.modes("position")
def test_checks_are_told_together(lab):
    manager = Manager.start(lab, switchover={"running_updates_limit": "1s", "running_seconds_limit": "1s"})
    done = manager.order("switch", "app1", "--check")
    assert done.returncode == 0 and "hands the primary role over" in done.stdout, done.stdout
    assert not manager.status().get("last_run")
    lab["db3"].stop_sql()
    held = lab["db1"].connect()
    with held.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO app.writes (id, payload, ts) VALUES (77, 'x', NOW(6))")
    lab["db1"].host.drop_address(lab.address)
    long = lab["db2"].connect(timeout=PATIENCE)
    session = long.thread_id()
    reading = threading.Thread(target=run_quietly, args=(long, "SELECT SLEEP(600)"))
    reading.start()
    time.sleep(2.5)
    said = ["db3: its applier is stopped", "open longer than switchover.running_updates_limit",
            f"db1: the address {lab.address}/24 is not on its host", "db2: 1 statement runs on it longer than"]
    try:
        done = manager.order("switch", "app1", "--check", "--to", "db2")
        assert done.returncode == 29 and all(words in done.stdout for words in said), done.stdout
        switch(manager, "--to", "db2", status=29)
        why = manager.report()["why"]
        assert all(words in why for words in said), why
    finally:
        lab["db2"].sql(f"KILL {session}")
        reading.join(PATIENCE)
    held.rollback()
    lab["db1"].host.add_address(lab.address)
    lab["db2"].host.add_address(lab.address)
    done = manager.order("switch", "app1", "--check", "--to", "db2")
    assert done.returncode == 29 and f"db2: the address {lab.address}/24 is on its host" in done.stdout, done.stdout
    lab["db2"].host.drop_address(lab.address)
    lab["db3"].start_sql()
    manager.wait_health("ok")
    assert only_writable(lab) == ["db1"] and "block-writes" not in {
        name for name, step in steps(manager.report()).items() if step["state"] == "done"}


@pytest.mark.flavours("mariadb", "mysql56")
@pytest.mark.modes("gtid")
def test_whose_session_and_since_when(lab):
    """The time zone of the servers' sessions is not that of the system, and a client uses the account of mhad."""
    db1 = lab["db1"]
    folder.write(f"{lab.mgr.folder}/shared", "shared-pw")
    db1.sql("CREATE USER shared@'%' IDENTIFIED BY 'shared-pw'", "GRANT ALL ON *.* TO shared@'%' WITH GRANT OPTION",
            "CREATE USER shared@localhost IDENTIFIED BY 'shared-pw'", "GRANT ALL ON app.* TO shared@localhost",
            "INSERT INTO app.writes (id, payload, ts) VALUES (1, 'x', NOW(6))", "SET GLOBAL time_zone = '-08:00'")
    manager = Manager.start(lab, sql={"user": "shared", "password_file": f"{lab.mgr.folder}/shared"},
                            switchover={"running_updates_limit": "1s"})
    held = db1.connect()
    with held.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO app.writes (id, payload, ts) VALUES (77, 'x', NOW(6))")
    time.sleep(2.5)
    done = manager.order("switch", "app1", "--check", "--to", "db2")
    found = re.search(rf"the oldest is that of session {held.thread_id()}, for (\d+) s", done.stdout)
    assert done.returncode == 29 and found and 1 <= int(found.group(1)) < 600, done.stdout
    held.rollback()
    long = db1.connect(user="shared", password="shared-pw", timeout=PATIENCE)
    session = long.thread_id()
    writing = threading.Thread(target=run_quietly, args=(long, "UPDATE app.writes SET payload = 'y' WHERE SLEEP(50) = 1"))
    writing.start()
    time.sleep(2.5)
    done = manager.order("switch", "app1", "--check", "--to", "db2")
    db1.sql(f"KILL {session}")
    writing.join(PATIENCE)
    assert done.returncode == 29 and f"the longest is session {session} of shared" in done.stdout, done.stdout


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_purged_on_the_candidate(lab):
    """A replica that stays behind on purpose still needs what the candidate has purged."""
    db2, db3 = lab["db2"], lab["db3"]
    manager = start(lab)
    db3.sql("STOP SLAVE", "CHANGE MASTER TO MASTER_DELAY=3600", "START SLAVE")
    lab["db1"].sql("INSERT INTO app.writes (id, payload, ts) VALUES (1, 'x', NOW(6))")
    until(lambda: db2.sql("SELECT id FROM app.writes WHERE id = 1"), PATIENCE, "db2 has it")
    for _ in range(2):
        db2.sql("FLUSH BINARY LOGS")
    last = db2.sql("SHOW BINARY LOGS")[-1]["Log_name"]

    def is_purged():
        db2.sql(f"PURGE BINARY LOGS TO '{last}'")
        return len(db2.sql("SHOW BINARY LOGS")) == 1

    until(is_purged, PATIENCE, "the others are purged", 0.5)
    done = manager.order("switch", "app1", "--check", "--to", "db2")
    assert done.returncode == 29 and "which db2 has in no binary log any more" in done.stdout, done.stdout


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(replicas=1)
def test_filters_of_the_candidate(lab):
    """One that does not take all that the primary has cannot be the primary, and one without its log's filters neither."""
    db2 = lab["db2"]
    with open(f"{db2.data}/my.cnf", "a", encoding="utf-8") as file:
        file.write("binlog-ignore-db=other\n")
    db2.restart()
    db2.sql("STOP SLAVE", "SET GLOBAL replicate_ignore_db = 'other'", "START SLAVE")
    until(db2.replicating, PATIENCE, "it replicates")
    manager = start(lab)
    said = "db2: its replication filters (ignore_db=other) leave out"
    done = manager.order("switch", "app1", "--check")
    assert done.returncode == 29 and said in done.stdout, done.stdout
    switch(manager, "--to", "db2", status=29)
    db2.sql("STOP SLAVE", "SET GLOBAL replicate_ignore_db = ''", "START SLAVE")
    until(db2.replicating, PATIENCE, "it replicates")

    time.sleep(2)
    done = manager.order("switch", "app1", "--check", "--to", "db2")
    assert done.returncode == 29 and "its binary log has other filters" in done.stdout, done.stdout


@pytest.mark.flavours("mysql56")
@pytest.mark.modes("gtid")
def test_read_that_holds_the_lock_up(lab):
    manager = Manager.start(lab, switchover={"running_updates_limit": "1s"})
    lab["db1"].sql("INSERT INTO app.writes (id, payload, ts) VALUES (1, 'x', NOW(6))")
    long = lab["db1"].connect(timeout=PATIENCE)
    session = long.thread_id()
    reading = threading.Thread(target=run_quietly, args=(long, "SELECT SLEEP(50) FROM app.writes"))
    reading.start()
    time.sleep(2.5)
    done = manager.order("switch", "app1", "--check", "--to", "db2")
    lab["db1"].sql(f"KILL {session}")
    reading.join(PATIENCE)
    assert done.returncode == 29 and "would wait for run longer" in done.stdout, done.stdout
    assert f"the longest is session {session} of lab" in done.stdout, done.stdout


def run_quietly(connection, statement):
    try:
        with connection.cursor() as cursor:
            cursor.execute(statement)
    except (pymysql.MySQLError, OSError):
        pass


# It is taken back


def hook(lab, text, name="hook"):
    path = f"{lab.mgr.folder}/{name}"
    folder.write(path, "#!/bin/sh\n" + text)
    os.chmod(path, stat.S_IRWXU)
    return path


@pytest.mark.flavours("mariadb", "mysql9")
def test_hook_refuses(lab):
    abort = hook(lab, f"cat >{lab.mgr.folder}/aborted\n", "abort")
    manager = start(lab, hooks={"stop": [hook(lab, "echo no such luck >&2; exit 3\n")], "abort": [abort]})
    with Writer(lab) as writer:
        switch(manager, "--to", "db2", status=1)
        assert "no such luck" in undone(manager, writer)["why"]
    with open(f"{lab.mgr.folder}/aborted", encoding="utf-8") as file:
        assert json.load(file)["hook"] == "abort"


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("name", ["stop", "start"])
def test_hook_hangs(lab, name):
    """Before the opening all is taken back; after it that is reported, and nothing else waits for it."""
    manager = start(lab, hooks={name: [hook(lab, "sleep 600\n")], "timeout": "1s"})
    with Writer(lab) as writer:
        switch(manager, "--to", "db2", status=1 if name == "stop" else 0)
        if name == "stop":
            assert "stop-hook" in undone(manager, writer)["why"]
        else:
            assert steps(manager.report())["start-hook"]["state"] == "failed"
            well(manager, "db2", [writer])


@pytest.mark.flavours("mariadb", "mysql9")
def test_address_cannot_be_set(lab):
    manager = start(lab, address={"device": "eth7"}, switchover={"max_write_block": "1s"})
    with Writer(lab) as writer:
        switch(manager, "--to", "db2", status=1)
        report = undone(manager, writer)
    assert "give-address" in report["why"] and report["write_block_ms"] >= 1000


class Busy:
    """A session with a statement that nobody gets past who wants all writes to stop."""

    def __init__(self, server):
        self.server = server
        self.connection = server.connect(timeout=60)
        self.session = self.connection.thread_id()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        run_quietly(self.connection, "UPDATE app.writes SET payload = 'y' WHERE id = 1 AND SLEEP(45) = 1")

    def end(self):
        if self.thread.is_alive() and self.server.running():
            try:
                self.server.sql(f"KILL {self.session}")
            except pymysql.MySQLError:
                pass
        self.thread.join(PATIENCE)

    def __enter__(self):
        self.server.sql("INSERT INTO app.writes (id, payload, ts) VALUES (1, 'x', NOW(6))")
        self.thread.start()
        until(lambda: any("SLEEP" in str(row["INFO"]) for row in self.server.sql(
            "SELECT info AS INFO FROM information_schema.processlist WHERE command = 'Query'")), PATIENCE, "it is busy")
        time.sleep(1)
        return self

    def __exit__(self, *_):
        self.end()


@pytest.mark.flavours("mariadb", "mysql9", "mysql56")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("kill", ["none", "all"])
def test_somebody_holds_a_lock(lab, kill):
    """One that came after the checks is ended, or makes it roll back, as configured."""
    manager = start(lab, switchover={"kill_sessions": kill, "max_write_block": "8s" if kill == "all" else "2s"})
    with Writer(lab, read_timeout=20) as writer, Busy(lab["db1"]) as busy:
        switch(manager, "--to", "db2", status=0 if kill == "all" else 1)
        if kill == "all":
            well(manager, "db2", [writer])
        else:
            busy.end()
            assert "block-writes" in undone(manager, writer)["why"]


def stop_at(step, kind="settled"):
    """The environment in which mhad stands still at a record of its journal, for a test to do something then."""
    return {"LD_PRELOAD": f"{BUILD}/test/integration/libdie-at.so", "MHAD_DIE_AT": f"{step} {kind}",
            "MHAD_DIE_BY": str(int(signal.SIGSTOP))}


@pytest.mark.modes("gtid")
def test_transaction_after_the_checks(lab):
    """One that nobody ends and that has changed something when writes are blocked: it cannot be committed any more."""
    manager = start(lab, environment=stop_at("catch-up-again"), switchover={"kill_sessions": "none"})
    with Writer(lab, read_timeout=20) as writer:
        lab["db1"].sql("CREATE USER 'plain'@'%' IDENTIFIED BY 'plain-pw'", "GRANT ALL ON app.* TO 'plain'@'%'")
        late = lab["db1"].connect(user="plain", password="plain-pw", timeout=PATIENCE)
        with switching(manager):
            late.begin()
            with late.cursor() as cursor:
                cursor.execute("INSERT INTO app.writes (id, payload, ts) VALUES (77, 'late', NOW(6))")
        manager.wait_run("completed")
        with pytest.raises(pymysql.MySQLError):
            late.commit()
        late.close()
        well(manager, "db2", [writer])
    for server in lab.servers:
        assert not server.sql("SELECT id FROM app.writes WHERE id = 77"), server.name


@contextlib.contextmanager
def switching(manager, to="db2"):
    """A switchover that stands still somewhere: what is done in here happens there, then it goes on, to its end."""
    process, = manager.lab.mgr.processes("mhad")
    order = threading.Thread(target=manager.order, args=("switch", "app1", "--to", to, "--yes"))
    order.start()
    try:
        until(lambda: process.state() == "T", PATIENCE, "mhad stands still", 0.01)
        yield
    finally:
        process.signal(signal.SIGCONT)
        manager.lab.mhad.send_signal(signal.SIGCONT)  # nsenter stands still with it
        order.join(PATIENCE)


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("point", ["premove-replicas settled", "catch-up-again settled", "block-writes settled",
                                   "open-candidate intent"])
def test_candidate_dies_there(lab, point):
    manager = start(lab, environment=stop_at(*point.split()), switchover={"max_write_block": "3s"})
    with Writer(lab, read_timeout=20) as writer:
        with switching(manager):
            lab["db2"].kill()
        report = manager.wait_run("aborted")
        assert "db2" in report["why"]
        until(lambda: only_writable(lab) == ["db1"], PATIENCE, "db1 is writable")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
        assert not writer.missing_on(lab["db1"])
    assert states(report)["db1"] == "primary" and with_address(lab) == ["db1"]


def with_address(lab):
    return [one.name for one in lab.servers if lab.address in one.host.addresses()]


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("position")
@pytest.mark.parametrize("how", ["kill", "freeze"])
def test_candidate_told_to_open(lab, how):
    """It is not known whether it did: it is made certain that it takes no writes, and what it has taken, and db1 goes on. When
    it is started again it is a replica."""
    manager = start(lab, environment=stop_at("open-candidate", "intent"))
    with Writer(lab, read_timeout=20) as writer:
        with switching(manager):
            getattr(lab["db2"], how)()
        report = manager.wait_run("aborted")
        assert states(report) == {"db1": "primary", "db2": "fenced", "db3": "left out"}, report["text"]
        assert "no database process is left; it has taken none" in report["text"], report["text"]
        assert not lab["db2"].running() and only_writable(lab) == ["db1"] and with_address(lab) == ["db1"]
        lab["db2"].start()
        well(manager, "db1", [writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
def test_candidate_cut_off_when_told_to_open(lab):
    """Nobody can say whether it takes writes: nothing else is opened, and it is said what to do."""
    manager = start(lab, environment=stop_at("open-candidate", "intent"), fence={"timeout": "2s"})
    with Writer(lab, read_timeout=20) as writer:
        with switching(manager):
            lab["db2"].host.cut()
        manager.wait_state("halted")
        told, = manager.events("run-halted")
        assert "mhactl run retry app1" in told["text"] and "override app1 --server db2" in told["text"], told
        assert not lab["db1"].writable() and not lab["db3"].writable()
        lab["db2"].host.heal()
        until(lambda: manager.server("db2")["up"], PATIENCE, "db2 is back")
        assert manager.order("run", "retry", "app1").returncode == 0
        manager.wait_run("aborted")
        well(manager, "db1", [writer])


@pytest.mark.flavours("mariadb", "mysql9")
def test_new_primary_dies(lab):
    """Just opened: the role is its own, so what follows is a failover, for which the old primary is one of its replicas."""
    manager = start(lab, environment=stop_at("open-candidate"))
    with Writer(lab, read_timeout=5) as writer:
        with switching(manager):
            lab["db2"].kill()
        manager.wait(lambda status: status.get("last_run", {}).get("procedure") == "failover"
                     and status["state"] == "steady", "a failover")
        assert {run["procedure"]: run["outcome"] for run in manager.history()} == {
            "failover": "completed", "switchover": "completed"}
        primary = manager.well([writer], dead=["db2"]).name
        assert [name for name in with_address(lab) if name != "db2"] == [primary]


@pytest.mark.flavours("mariadb", "mysql9", "mysql56")
@pytest.mark.modes("gtid")
def test_old_primary_freezes(lab):
    """While nobody may write to it: the run is given up, says so, and a failover does what is left."""
    manager = start(lab, environment=stop_at("block-writes"), switchover={"max_write_block": "2s"})
    with Writer(lab, read_timeout=5) as writer:
        with switching(manager):
            lab["db1"].freeze()
        manager.wait(lambda status: status.get("last_run", {}).get("procedure") == "failover"
                     and status["state"] == "steady", "a failover")
        run, = [run["run"] for run in manager.history() if run["procedure"] == "switchover"]
        first = manager.report(run)
        assert first["outcome"] == "aborted" and "new_primary" not in first, first["text"]
        assert "may still be read-only" in first["text"]
        primary = manager.status()["primary"]
        assert primary in ("db2", "db3")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
        assert not writer.missing_on(lab[primary])
        assert [server.name for server in lab.replicas if server.writable()] == [primary]


@pytest.mark.flavours("mariadb", "mysql56")
@pytest.mark.modes("gtid")
def test_lock_outlives_its_connection(lab):
    """mhad's host is gone without a word: at the old primary its session lives on, with the lock, until mhad is back."""
    manager = start(lab, environment={**stop_at("block-writes"), "MHAD_DIE_BY": "hang"})
    db1 = lab["db1"]
    order = threading.Thread(target=manager.order, args=("switch", "app1", "--to", "db2", "--yes"))
    order.start()
    until(lambda: any('"block-writes"' in line and '"settled"' in line for line in manager.records()), PATIENCE, "blocked",
          0.01)
    db1.host.cut("mgr")
    lab.mgr.power_off()
    order.join(PATIENCE)
    lab.mhad.wait(PATIENCE)
    lab.mhad = None
    lab.mgr.power_on()
    db1.host.heal("mgr")
    sleeping = "SELECT COUNT(*) FROM information_schema.processlist WHERE user = 'mhad' AND command = 'Sleep'"
    assert int(db1.value(sleeping)) > 0 and not db1.writable()
    lab.start_mhad()
    until(db1.writable, PATIENCE, "db1 is not read-only")
    db1.sql("SET lock_wait_timeout = 5", "CREATE TABLE app.again (id INT PRIMARY KEY)")
    report = manager.wait_run("aborted")
    assert steps(report)["unblock-writes"]["state"] == "done", report["text"]
    assert only_writable(lab) == ["db1"]


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_old_primary_dies(lab):
    """Before the block: nobody waits for it to undo what cannot be undone there, and a failover begins."""
    manager = start(lab, environment=stop_at("premove-replicas"))
    with Writer(lab, read_timeout=5) as writer:
        with switching(manager):
            lab["db1"].kill()
        manager.wait(lambda status: status.get("last_run", {}).get("procedure") == "failover"
                     and status["state"] == "steady", "a failover")
        run, = [run["run"] for run in manager.history() if run["procedure"] == "switchover"]
        first = manager.report(run)
        goals = steps(first)
        assert first["outcome"] == "aborted" and goals["unblock-writes"]["state"] == "failed", first["text"]
        assert first["times"]["ended"] - first["times"]["started"] < 15000000, [goals, first["times"]]
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
        assert not writer.missing_on(lab[manager.status()["primary"]])


@pytest.mark.flavours("mariadb", "mysql56")
@pytest.mark.modes("position")
def test_old_primary_dies_afterwards(lab):
    """It is made read-only when it is back, and can be attached: where its log has ended is on record."""
    manager = start(lab, environment=stop_at("open-candidate"), failover={"repoint_timeout": "3s"})
    with Writer(lab, read_timeout=5) as writer:
        with switching(manager):
            lab["db1"].kill()
        report = manager.wait_run("completed")
        assert states(report)["db1"] == "not attached", report["text"]
        manager.wait_state("steady")
        lab["db1"].start()
        until(lambda: not lab["db1"].writable(), PATIENCE, "db1 read-only")
        done = manager.order("rejoin", "app1", "db1")
        assert done.returncode == 0, done.stdout + done.stderr
        well(manager, "db2", [writer])


@pytest.mark.flavours("mariadb", "mysql9", "mysql56")
@pytest.mark.modes("position")
def test_replica_cannot_be_repointed(lab):
    """It is said, and nobody waits for it."""
    manager = start(lab, environment=stop_at("open-candidate"), failover={"repoint_timeout": "3s"})
    with Writer(lab, read_timeout=5) as writer:
        with switching(manager):
            lab["db3"].kill()
        report = manager.wait_run("completed")
        assert states(report) == {"db1": "replica", "db2": "primary", "db3": "not attached"}, report["text"]
        assert only_writable(lab) == ["db2"]
        assert "1 of 2 replicas follow" in report["summary"] or "of 2 replicas" in report["summary"], report["summary"]
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
        for name in ("db1", "db2"):
            until(lambda name=name: not writer.missing_on(lab[name]), PATIENCE, f"{name} has all rows")


def is_open(session):
    try:
        session.ping(reconnect=False)
        return True
    except (pymysql.MySQLError, OSError):
        return False


@pytest.mark.flavours("mariadb", "mysql9", "mysql56")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("kill", ["all", "none", "after-grace"])
def test_sessions(lab, kill):
    """Those of clients that were there before are ended as configured; replication, mhad's and the server's own never."""
    manager = start(lab, switchover={"kill_sessions": kill, "kill_grace": "5s"})
    sessions = [lab["db1"].connect() for _ in range(3)]
    own = {row["id"] for row in lab["db1"].sql(
        "SELECT id AS id FROM information_schema.processlist WHERE user IN ('mhad', 'system user', 'event_scheduler')")}
    with Writer(lab) as writer:
        switch(manager, "--to", "db2")
        assert {is_open(session) for session in sessions} == {kill == "none"}
        left = {row["id"] for row in lab["db1"].sql("SELECT id AS id FROM information_schema.processlist")}
        assert own & left, "not even one of mhad's own is left"
        well(manager, "db2", [writer])
    times = manager.report()["times"]
    assert kill != "after-grace" or times["ended"] - times["blocked"] >= 4000000, times


@pytest.mark.flavours("mysql9", "mysql56")
def test_temporary_tables(lab):
    """What the server logs when a session ends that has some is before the end of the log: everybody follows, and the way back
    is free."""
    manager = start(lab)
    sessions = [lab["db1"].connect(timeout=PATIENCE) for _ in range(3)]
    for session in sessions:
        with session.cursor() as cursor:
            cursor.execute("SET SESSION binlog_format = 'STATEMENT'")
            for n in range(20):
                cursor.execute(f"CREATE TEMPORARY TABLE app.brief{n} (a INT)")
    with Writer(lab) as writer:
        switch(manager, "--to", "db2")
        assert sorted(states(manager.report()).values()) == ["primary", "replica", "replica"], manager.report()["text"]
        assert not any(is_open(session) for session in sessions)
        manager.wait_health("ok")
        switch(manager, "--to", "db1")
        well(manager, "db1", [writer])


@pytest.mark.flavours("mariadb", "mysql56")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("kill", ["all", "none"])
def test_idle_session_holds_a_lock(lab, kill):
    manager = start(lab, switchover={"kill_sessions": kill, "max_write_block": "8s" if kill == "all" else "2s"})
    lab["db1"].sql("CREATE TABLE app.other (a INT)")
    holder = lab["db1"].connect(timeout=PATIENCE)
    with holder.cursor() as cursor:
        cursor.execute("LOCK TABLES app.other WRITE")
    with Writer(lab, read_timeout=20) as writer:
        switch(manager, "--to", "db2", status=0 if kill == "all" else 1)
        if kill == "all":
            well(manager, "db2", [writer])
        else:
            session = holder.thread_id()
            holder.close()
            assert f" {session} of lab (Sleep for" in undone(manager, writer)["why"]


@pytest.mark.flavours("mariadb", "mysql9")
def test_candidate_dies(lab):
    """In the middle of the block, which somebody's lock makes long enough for it."""
    manager = start(lab, switchover={"kill_sessions": "none", "max_write_block": "3s"})
    with Writer(lab, read_timeout=20) as writer, Busy(lab["db1"]) as busy:
        order = threading.Thread(target=manager.order, args=("switch", "app1", "--to", "db2", "--yes"))
        order.start()
        until(lambda: any('"foreseen"' in record for record in manager.records()), PATIENCE, "the block", 0.01)
        lab["db2"].kill()
        busy.end()
        order.join(PATIENCE)
        manager.wait_run("aborted")
        until(lambda: only_writable(lab) == ["db1"], PATIENCE, "db1 is writable")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
        assert not writer.missing_on(lab["db1"])
    assert lab.address in lab["db1"].host.addresses()


# mhad dies

POINTS = [("premove-replicas", "intent"), ("catch-up-again", "settled"), ("stop-events", "settled"),
          ("block-writes", "intent"), ("block-writes", "settled"), ("give-address", "settled"), ("reach-end", "settled"),
          ("open-candidate", "intent"), ("open-candidate", "settled"), ("take-address", "settled"),
          ("detach-candidate", "intent"), ("demote", "intent"), ("demote", "settled"), ("verify-demoted", "settled")]


def killed_at(lab, point):
    """A writer, and mhad after it was killed at a record and started again."""
    manager = start(lab, environment={**stop_at(*point), "MHAD_DIE_BY": str(int(signal.SIGKILL))})
    writer = Writer(lab, read_timeout=20).start()
    order = lab.mgr.popen([f"{BUILD}/client/mhactl", "switch", "app1", "--to", "db2", "--yes"], {})
    try:
        lab.mhad.wait(PATIENCE)
    finally:
        order.kill()
        order.wait(PATIENCE)
    lab.mhad = None
    lab.start_mhad()
    return manager, writer


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.parametrize("point", POINTS, ids=["-".join(point) for point in POINTS])
def test_killed(lab, point):
    """Whatever the moment: wholly the old or wholly the new."""
    if point == ("premove-replicas", "intent") and lab.mode == "position":
        pytest.skip("by position nobody is moved ahead")
    if point == ("give-address", "settled") and not lab.flavour.has_super_read_only:
        point = ("give-address-late", "settled")
    survives(lab, point)


@pytest.mark.flavours("mysql56")
@pytest.mark.modes("position")
@pytest.mark.parametrize("point", [("end-clients", "intent"), ("end-clients", "settled"), ("open-candidate", "settled")],
                         ids="-".join)
def test_killed_with_a_lock(lab, point):
    """The same where a lock blocks, and sessions that end are logged."""
    session = lab["db1"].connect(timeout=PATIENCE)
    with session.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE app.brief (a INT)")
    survives(lab, point)


def survives(lab, point):
    manager, writer = killed_at(lab, point)
    try:
        manager.wait(lambda status: status["state"] == "steady" and status.get("last_run"), "the end")
        report = manager.report()
        assert report["outcome"] in ("completed", "aborted"), report["text"]
        well(manager, "db2" if report["outcome"] == "completed" else "db1", [writer])
    finally:
        writer.stop()


# Privileges


class Privileged:
    """An account that read_only does not bind writes to one server as fast as it can; and when each row was acknowledged."""

    def __init__(self, server):
        self.server, self.written, self.ended = server, {}, False
        self.thread = threading.Thread(target=self.run)

    def run(self):
        row, connection = 5 * 10**12, None
        while not self.ended:
            try:
                connection = connection or self.server.connect()
                row += 1
                with connection.cursor() as cursor:
                    cursor.execute(f"INSERT INTO app.writes (id, payload, ts) VALUES ({row}, 'root', NOW(6))")
                self.written[row] = time.time_ns() // 1000
            except (pymysql.MySQLError, OSError):
                connection = None
                time.sleep(0.002)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended = True
        self.thread.join()


@pytest.mark.flavours("mysql56", "mysql9", "mariadb")
def test_privileged_account(lab):
    """What it has written before the end is on the new primary. Where read_only does not bind it, the lock does, until the new
    primary is open; then, if it knows the old primary's own address, it can write there again: that is found, and nothing is
    attached."""
    manager = start(lab)
    with Writer(lab) as writer, Privileged(lab["db1"]) as privileged:
        until(lambda: len(privileged.written) > 20, PATIENCE, "it writes")
        switch(manager, "--to", "db2")
        writer.wait_acknowledged(10, PATIENCE)
        privileged.ended = True
        report = manager.report()
    rows = {row["id"] for row in lab["db2"].sql("SELECT id FROM app.writes WHERE id > 5000000000000", timeout=60)}
    missing = {row: when for row, when in privileged.written.items() if row not in rows}
    if lab.flavour.has_super_read_only:
        assert not missing and states(report)["db1"] == "replica"
    else:
        unlocking = steps(report)["unlock"]["started"]
        assert report["times"]["blocked"] < report["times"]["opened"] <= unlocking, report["times"]
        assert all(when >= unlocking for when in missing.values()), [missing, unlocking, report["text"]]
        if states(report)["db1"] != "replica":
            assert "has written after the end" in report["text"]
    writer.stop()
    assert not writer.missing_on(lab["db2"])
