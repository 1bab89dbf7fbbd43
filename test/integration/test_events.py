"""Scheduled events run on the primary and nowhere else, whoever it is."""

import time

import pytest
import test_opening as opening
from labkit import Writer
from labkit.process import until
from manager import PATIENCE, Manager, steps
from test_switchover import hook, start, stop_at, switch, switching, undone, well

EVERY = "ON SCHEDULE EVERY 1 SECOND"
LIST = """SELECT event_name AS name, definer AS definer, status AS status, sql_mode AS sql_mode, time_zone AS time_zone,
    character_set_client AS client, collation_connection AS collation, event_definition AS body
    FROM information_schema.events ORDER BY 1"""


def make(lab):
    """A few on the primary, one of them of an account with all rights, one switched off, one with a character set of its
    own; only the primary's scheduler is on."""
    db1 = lab["db1"]
    for server in lab.servers:
        server.sql(f"SET GLOBAL event_scheduler = {'ON' if server is db1 else 'OFF'}")
    db1.sql("CREATE TABLE app.ticks (id BIGINT AUTO_INCREMENT PRIMARY KEY, server INT, event VARCHAR(20), word VARCHAR(20))",
            f"CREATE DEFINER = 'app'@'%' EVENT app.tick {EVERY} DO "
            "INSERT INTO app.ticks (server, event) VALUES (@@server_id, 'tick')",
            f"CREATE EVENT app.`super``tick` {EVERY} DO INSERT INTO app.ticks (server, event) VALUES (@@server_id, 'super')",
            f"CREATE EVENT app.off {EVERY} DISABLE DO INSERT INTO app.ticks (server, event) VALUES (@@server_id, 'off')",
            "SET character_set_client = latin1, collation_connection = latin1_german2_ci, sql_mode = 'ANSI_QUOTES', "
            "time_zone = '+03:00'",
            f"CREATE DEFINER = 'app'@'%' EVENT app.latin {EVERY} DO "
            "INSERT INTO app.ticks (server, event, word) VALUES (@@server_id, 'latin', 'wort')")
    until(lambda: ran(lab["db2"], 1) == {"tick", "super", "latin"}, PATIENCE, "the events run and are replicated")


def ran(where, by, since=0):
    return {row["event"] for row in where.sql(f"SELECT event FROM app.ticks WHERE server = {by} AND id > {since}")}


def last(where):
    return where.value("SELECT COALESCE(MAX(id), 0) FROM app.ticks")


def enabled(server):
    return {row["name"] for row in server.sql(LIST) if row["status"] == "ENABLED"}


def check(lab, primary, before):
    """All that ran runs there and only there, and is what it was."""
    number = int(primary.removeprefix("db"))
    server = lab[primary]
    since = last(server)
    until(lambda: ran(server, number, since) == {"tick", "super", "latin"}, PATIENCE, f"the events run on {primary}")
    assert {row["server"] for row in server.sql(f"SELECT server FROM app.ticks WHERE id > {since}")} == {number}
    for other in lab.servers:
        if other.running():
            assert enabled(other) == ({"tick", "super`tick", "latin"} if other is server else set()), other.name
            after = {row["name"]: {**row, "status": None} for row in other.sql(LIST)}
            assert after == {row["name"]: {**row, "status": None} for row in before}, other.name


def test_switched(lab):
    make(lab)
    before = lab["db1"].sql(LIST)
    manager = start(lab)
    with Writer(lab) as writer:
        for there in ("db2", "db1"):
            switch(manager, "--to", there)
            check(lab, there, before)
            assert [server.value("SELECT @@global.event_scheduler") for server in lab.servers] == [
                "ON" if server.name == there else "OFF" for server in lab.servers]
            manager.wait_health("ok")
        well(manager, "db1", [writer])


def test_undone(lab):
    make(lab)
    before = lab["db1"].sql(LIST)
    manager = start(lab, hooks={"stop": [hook(lab, "exit 1\n")]})
    switch(manager, "--to", "db2", status=1)
    undone(manager)
    check(lab, "db1", before)
    assert [server.value("SELECT @@global.event_scheduler") for server in lab.servers] == ["ON", "OFF", "OFF"]


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
def test_undone_when_it_answers_again(lab):
    """mhad alone does not reach the old primary for a while, with writes blocked: nothing is left as it was then."""
    make(lab)
    before = lab["db1"].sql(LIST)
    manager = start(lab, environment=stop_at("block-writes"), switchover={"max_write_block": "2s"})
    with switching(manager):
        lab["db1"].host.cut("mgr")
    manager.wait_run("aborted")
    report = manager.report()
    assert "not undone: unblock-writes" in report["why"] and steps(report)["restart-events"]["state"] == "failed"
    time.sleep(5)
    assert not lab["db1"].writable() and not enabled(lab["db1"])
    lab["db1"].host.heal("mgr")
    until(lambda: lab["db1"].writable() and enabled(lab["db1"]), PATIENCE, "undone on db1")
    assert not manager.events("dead") and len(manager.history()) == 1
    check(lab, "db1", before)
    well(manager, "db1")


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
def test_long_event(lab):
    """One that is at work is a client like any other: the check refuses, and one that came later is ended."""
    make(lab)
    manager = Manager.start(lab, switchover={"running_updates_limit": "1s"})
    lab["db1"].sql(f"CREATE EVENT app.slow {EVERY.replace('1', '40')} DO UPDATE app.ticks SET word = 'x' WHERE SLEEP(1) = 1")
    time.sleep(3)
    done = switch(manager, "--to", "db2", status=29)
    assert "longer than switchover.running_updates_limit" in done.stdout, done.stdout


@pytest.mark.flavours("mariadb", "mysql56", "mysql9")
@pytest.mark.modes("position")
def test_failed_over(lab):
    make(lab)
    before = lab["db1"].sql(LIST)
    manager = Manager.start(lab)
    time.sleep(3)  # a moment in which mhad looks at what runs on the primary
    lab["db1"].kill()
    report = manager.wait_run("completed")
    check(lab, report["new_primary"], before)
    assert lab[report["new_primary"]].value("SELECT @@global.event_scheduler") == "ON"

    db1 = lab["db1"]
    db1.start()
    until(lambda: not db1.writable(), PATIENCE, "db1 read-only")
    manager.wait_state("steady")
    assert manager.order("rejoin", manager.cluster.name, "db1").returncode == 0, manager.report()["text"]
    assert steps(manager.report())["rest-its-events"]["state"] == "done"
    assert not enabled(db1) and not db1.writable()
    if lab.flavour.name.startswith("mysql9"):
        assert db1.value("SELECT @@global.super_read_only") == 1
    check(lab, report["new_primary"], before)


def state_of(manager):
    with open(f"{manager.folder}/state.json", encoding="utf-8") as file:
        return file.read()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_failed_over_by_the_next_daemon(lab):
    """Which has never reached the primary on which they ran."""
    make(lab)
    before = lab["db1"].sql(LIST)
    manager = Manager.start(lab)
    until(lambda: "super`tick" in state_of(manager), PATIENCE, "they are in the state")
    lab.kill_mhad()
    lab["db1"].kill()
    lab.start_mhad()
    report = manager.wait_run("completed")
    check(lab, report["new_primary"], before)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_new_primary_dies_before_they_run(lab):
    """On its replicas they all rest, so what was to run there is known from the first primary alone."""
    make(lab)
    before = lab["db1"].sql(LIST)
    manager = opening.start(lab, "open-candidate", "settled")
    time.sleep(3)
    with opening.standing(manager):
        lab["db2"].kill()
    first = manager.wait_run("completed")
    until(lambda: manager.status().get("primary") == "db2", PATIENCE, "db2 is the dead primary")
    assert manager.order("failover", "app1", "--yes", "--ignore-last-failover").returncode == 0
    manager.wait_run("completed", after=first["run"])
    check(lab, "db3", before)
