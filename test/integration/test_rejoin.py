"""A former primary is back: it follows the new one when it is proved that it has nothing of its own; else that is named."""

import concurrent.futures
import os

import pytest

from labkit import Writer, compare
from labkit.process import until
from manager import PATIENCE, Manager
from test_resume import dead, dying

NO_RESCUE = {"rescue": {"enabled": False}}


def fail_over(lab, manager):
    with Writer(lab) as writer:
        writer.wait_acknowledged(20)
        lab["db1"].kill()
        report = manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
    return lab[report["new_primary"]]


def back(lab, manager):
    """db1 is started again, and made read-only."""
    lab["db1"].start()
    until(lambda: not lab["db1"].writable(), PATIENCE, "db1 read-only")
    manager.wait_state("steady")


def rejoin(manager, server="db1"):
    done = manager.order("rejoin", manager.cluster.name, server)
    return done.returncode, manager.report(), done.stdout + done.stderr


def test_clean(lab):
    """Nothing is lost and nothing is extra: it follows; asked again it is refused."""
    manager = Manager.start(lab)
    primary = fail_over(lab, manager)
    back(lab, manager)
    status, report, said = rejoin(manager)
    assert status == 0, said + report["text"]
    assert report["procedure"] == "rejoin" and report["outcome"] == "completed", report["text"]
    assert "follows the primary again" in report["summary"]
    past = [(run["procedure"], run["outcome"], run["run"]) for run in manager.history()]
    assert [run[:2] for run in past] == [("rejoin", "completed"), ("failover", "completed")], past
    assert manager.report(past[1][2])["procedure"] == "failover"
    db1 = lab["db1"]
    primary.sql("CREATE TABLE app.after_all (id INT PRIMARY KEY)", "INSERT INTO app.after_all VALUES (1)")
    until(lambda: db1.status()["executed"] == primary.position(), PATIENCE, "db1 level")
    compare([primary, *[server for server in lab.servers if server is not primary]])
    assert not db1.writable()
    manager.wait_health("ok")
    done = manager.order("rejoin", manager.cluster.name, "db1")
    assert done.returncode == 1 and "already" in done.stderr, done.stderr
    assert "fenced" not in str(manager.status()["problems"])


def test_extra_transaction(lab):
    """What somebody wrote to it is named and kept, and it stays as it is."""
    manager = Manager.start(lab)
    primary = fail_over(lab, manager)
    lab.kill_mhad()
    db1 = lab["db1"]
    db1.start()
    db1.set_read_only(False)
    db1.sql("CREATE TABLE app.astray (id INT PRIMARY KEY)", "INSERT INTO app.astray VALUES (1)")
    lab.start_mhad()
    until(lambda: not db1.writable(), PATIENCE, "db1 read-only")
    manager.wait_state("steady")
    status, report, said = rejoin(manager)
    assert status == 1, said
    assert report["outcome"] == "aborted" and "lacks" in report["why"], report["text"]
    folder = f"{manager.folder}/rescue/{report['run']}/db1"
    assert os.listdir(folder), report["text"]
    assert f"rescue/{report['run']}" in report["why"] and "read-only" in report["why"], report["why"]
    assert not db1.status() and not db1.writable()
    assert manager.status()["primary"] == primary.name
    event = manager.events("run-aborted")[-1]
    assert "not attached" in str(event), event


@pytest.mark.also("mariadb11")
def test_tail_that_never_left_it(lab):
    """Without a rescue its last transactions are on nobody else: it is not attached."""
    manager = Manager.start(lab, **NO_RESCUE)
    for replica in lab.replicas:
        replica.stop_io()
    lab["db1"].sql("CREATE TABLE app.tail (id INT PRIMARY KEY)", "INSERT INTO app.tail VALUES (1)")
    lab["db1"].kill()
    report = manager.wait_run()
    back(lab, manager)
    status, report, said = rejoin(manager)
    assert status == 1 and report["outcome"] == "aborted", said + report["text"]
    assert "lacks" in report["why"], report["why"]


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
def test_another_log(lab):
    """A log that does not reach the place that the new primary had come to proves nothing, though nothing stands behind it."""
    manager = Manager.start(lab)
    fail_over(lab, manager)
    back(lab, manager)
    lab["db1"].sql("RESET MASTER")
    status, report, said = rejoin(manager)
    assert status == 1 and report["outcome"] == "aborted", said + report["text"]
    assert "its log ends at binlog.000001:" in report["why"] and "copied anew" in report["why"], report["why"]
    assert "Not attached: it is left as it is" in said and "undone" not in said, said
    assert not lab["db1"].status() and not lab["db1"].writable()


@pytest.mark.flavours("mariadb")
def test_known_no_longer(lab):
    """What was on record of a server proves nothing any more once it has followed, whoever had attached it."""
    manager = Manager.start(lab)
    name, db1, db2 = manager.cluster.name, lab["db1"], lab["db2"]
    assert manager.order("switch", name, "--to", "db2", "--no-demote", "--yes").returncode == 0
    manager.wait(lambda status: status["state"] == "steady" and status["primary"] == "db2", "db2 is the primary")
    status, report, said = rejoin(manager)
    assert status == 0, said + report["text"]
    db2.sql("CREATE TABLE app.more (id INT PRIMARY KEY)", "INSERT INTO app.more VALUES (1)")
    until(lambda: db1.status()["executed"] == db2.position(), PATIENCE, "db1 level")
    db1.sql("STOP SLAVE")
    manager.wait(lambda status: manager.server("db1").get("receiver") == "no", "db1 stopped")
    done = manager.order("rejoin", name, "db1")
    assert done.returncode == 1 and "START SLAVE on it is enough" in done.stderr, done.stderr
    db1.sql("RESET SLAVE ALL")
    manager.wait(lambda status: manager.server("db1")["role"] == "alone", "db1 follows nobody")
    status, report, said = rejoin(manager)
    assert status == 1 and "not on record" in report["why"], said + report["text"]
    assert not db1.status()


@pytest.mark.flavours("mariadb")
def test_by_itself(lab):
    """Where the policy says so nobody has to ask; a restart of mhad does not forget what it knows."""
    manager = Manager.start(lab, failover={"rejoin": "automatic"})
    primary = fail_over(lab, manager)
    lab.kill_mhad()
    lab.start_mhad()
    lab["db1"].start()
    until(lambda: lab["db1"].running() and lab["db1"].status()
          and lab["db1"].status()["executed"] == primary.position(), PATIENCE, "db1 follows")
    manager.wait_health("ok")
    assert not lab["db1"].writable()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
def test_refusals(lab):
    manager = Manager.start(lab)
    name = manager.cluster.name
    for server, words in (("db9", "no server db9"), ("db1", "is the primary"), ("db2", "already")):
        done = manager.order("rejoin", name, server)
        assert done.returncode == 1 and words in done.stderr, done.stderr
    fail_over(lab, manager)
    manager.wait_state("steady")
    done = manager.order("rejoin", name, "db1")
    assert done.returncode == 1 and "does not answer" in done.stderr, done.stderr


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_killed_after_its_end(lab):
    """What follows from the end of a rejoin is not lost with the daemon, nor done again by each one after it."""
    manager = Manager.start(lab, failover={"remove_dead_primary": True})
    name = manager.cluster.name
    fail_over(lab, manager)
    assert manager.server("db1")["downtime"]["removed"]
    assert lab.stop_mhad() == 0
    lab.start_mhad(environment=dying(MHAD_DIE_AT="- run-ended"))
    back(lab, manager)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        order = pool.submit(manager.order, "rejoin", name, "db1")
        dead(lab)
        lab.start_mhad()
        assert order.result().returncode == 0, order.result()
    manager.wait(lambda status: not any("downtime" in server for server in status["servers"]), "db1 counts again")
    for _ in range(2):
        past = [(run["procedure"], run["outcome"]) for run in manager.history()]
        assert past == [("rejoin", "completed"), ("failover", "completed")], past
        assert manager.report()["procedure"] == "rejoin"
        assert len(manager.events("report")) <= 1
        assert lab.stop_mhad() == 0
        lab.start_mhad()
        manager.wait_health("ok")
    assert not manager.events("report"), "told again"


@pytest.mark.flavours("mariadb")
def test_failover_killed_after_its_end(lab):
    """What follows from the end of a failover is not lost with the daemon either: what is needed for a proof is noted."""
    manager = Manager.start(lab, environment=dying(MHAD_DIE_AT="- run-ended"))
    with Writer(lab) as writer:
        writer.wait_acknowledged(20)
        lab["db1"].kill()
        dead(lab)
        lab.start_mhad()
        manager.wait_run("completed")
        writer.wait_elsewhere(PATIENCE)
    manager.wait_state("steady")
    assert len(manager.events("report")) == 1
    back(lab, manager)
    status, report, said = rejoin(manager)
    assert status == 0, said + report["text"]
    assert lab.stop_mhad() == 0
    lab.start_mhad()
    manager.wait_health("ok")
    past = [(run["procedure"], run["outcome"]) for run in manager.history()]
    assert past == [("rejoin", "completed"), ("failover", "completed")], past
    assert not manager.events("report") and not manager.events("run-resumed"), "done again"
