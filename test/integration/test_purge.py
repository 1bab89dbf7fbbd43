"""Relay logs that every replica has received are removed, under load, without losing what a rescue may need."""

import glob
import os

import pytest

from labkit import Writer, compare
from labkit.process import until
from manager import PATIENCE, Manager, states


def relay_logs(server):
    with open(f"{server.data}/relay.index", encoding="utf-8") as index:
        names = [os.path.basename(line.strip()) for line in index if line.strip()]
    return {name: os.path.getsize(f"{server.data}/{name}") for name in names}


def keep(replica):
    replica.sql("SET GLOBAL relay_log_purge = 0")


def fill(lab, megabytes=8):
    """Relay logs that are applied, and stay."""
    for replica in lab.replicas:
        keep(replica)
        replica.sql("FLUSH NO_WRITE_TO_BINLOG RELAY LOGS")
    lab.primary.sql("CREATE TABLE app.fill (id INT AUTO_INCREMENT PRIMARY KEY, word LONGBLOB)")
    for _ in range(megabytes):
        lab.primary.sql("INSERT INTO app.fill (word) VALUES (REPEAT('x', 500000)), (REPEAT('y', 500000))")
    for replica in lab.replicas:
        until(lambda replica=replica: replica.status()["executed"] == lab.primary.position(), PATIENCE, "applied")
        replica.sql("FLUSH NO_WRITE_TO_BINLOG RELAY LOGS")
        assert sum(relay_logs(replica).values()) > megabytes * 900000


def purge(manager, *arguments):
    return manager.order("purge-relay-logs", manager.cluster.name, *arguments)


def test_under_load(lab):
    """The disk is freed, all replicas keep running, the setting stays, and a failover afterwards loses nothing."""
    fill(lab)
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        writer.wait_acknowledged(20)
        done = purge(manager)
        assert done.returncode == 0, done.stdout + done.stderr
        for replica in lab.replicas:
            assert sum(relay_logs(replica).values()) < 4000000, relay_logs(replica)
            assert not glob.glob(f"{replica.data}/*.mhad-purge")
            assert int(replica.value("SELECT @@GLOBAL.relay_log_purge")) == 0
            assert replica.replicating()
        assert done.stdout.count("run-completed") == len(lab.replicas), done.stdout
        behind, ahead = lab.replicas
        behind.stop_io()
        ahead.stop_sql()
        writer.wait_acknowledged(200)
        writer.stop()
        until(lambda: ahead.status()["read"] == lab.primary.position(), PATIENCE, "received")
        lab.primary.host.power_off()  # what one replica lacks is in the relay logs of the other, and nowhere else
        report = manager.wait_run()
        primary = manager.well()
    assert not writer.missing_on(primary), report["text"]
    assert states(report)[behind.name] in ("primary", "replica"), report["text"]
    for replica in lab.replicas:
        assert replica is primary or replica.replicating()
        assert not writer.missing_on(replica), replica.name
    compare(lab.replicas)


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("position")
def test_what_another_needs(lab):
    """What another replica has not received stays; where the server removes them by itself there is nothing to do."""
    fill(lab, megabytes=3)
    db2, db3 = lab.replicas
    manager = Manager.start(lab)
    db3.stop_io()
    lab.primary.sql("INSERT INTO app.fill (word) VALUES ('z')")
    until(lambda: db2.status()["executed"] == lab.primary.position(), PATIENCE, "applied")
    before = relay_logs(db2)
    done = purge(manager, "--server", "db2")
    assert done.returncode == 1 and "db3" in done.stdout + done.stderr, done.stdout + done.stderr
    assert set(before) <= set(relay_logs(db2)) and int(db2.value("SELECT @@GLOBAL.relay_log_purge")) == 0
    db3.start_io()
    until(lambda: db3.status()["read"] == lab.primary.position(), PATIENCE, "received")
    db3.sql("SET GLOBAL relay_log_purge = 1")
    done = purge(manager, "--server", "db3")
    assert done.returncode == 0 and "nothing to do" in done.stdout, done.stdout + done.stderr
    done = purge(manager, "--server", "db1")
    assert done.returncode == 1 and "no replica" in done.stderr, done.stderr
    db3.stop()
    manager.wait(lambda status: not manager.server("db3")["up"], "db3 down")
    before = relay_logs(db2)
    done = purge(manager, "--server", "db2")
    assert done.returncode == 1 and "db3 cannot be asked" in done.stderr and "mhactl server down" in done.stderr, done
    assert relay_logs(db2) == before
    db3.start()
    manager.wait_health("ok")
    with Writer(lab):  # parallel appliers leave a file with the next event only
        done = purge(manager, "--server", "db2")
    assert done.returncode == 0 and sum(relay_logs(db2).values()) < 2000000, done.stdout


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_by_itself(lab):
    """On a schedule, one replica after the other."""
    fill(lab, megabytes=3)
    manager = Manager.start(lab, failover={"purge_relay_logs": "1h"})
    for replica in lab.replicas:
        until(lambda replica=replica: sum(relay_logs(replica).values()) < 2000000, PATIENCE, f"{replica.name} purged")
    until(lambda: "background" not in manager.status(), PATIENCE, "nothing more to do")
    started = [event for event in manager.events("run-started") if "relay logs" in event["text"]]
    assert sorted(event["server"] for event in started) == ["db2", "db3"], started
    for replica in lab.replicas:
        assert int(replica.value("SELECT @@GLOBAL.relay_log_purge")) == 0
    past = manager.history()
    assert [(run["procedure"], run["server"], run["outcome"]) for run in past] == [
        ("purge", server, "completed") for server in ("db3", "db2")], past  # newest first
    for run in past:
        report = manager.report(run["run"])
        assert f"relay logs of {run['server']}: done" in report["summary"], report["text"]
        assert {step["name"] for step in report["steps"]} >= {"others-have-it", "keep-again", "give-back"}
    assert "last_run" not in manager.status()  # which is about roles
