"""What operators do to single servers: take one out for a while, add, change and remove them."""

import os

import pytest

from labkit import Writer
from labkit.host import BUILD
from labkit.process import until
from manager import PATIENCE, Manager

OK, REFUSED = 0, 1

pytestmark = [pytest.mark.flavours("mariadb"), pytest.mark.modes("gtid")]


def edit(lab, *words):
    """mhactl server, with the daemon's program of this build."""
    return lab.mgr.run("/usr/bin/env", f"MHAD_PROGRAM={BUILD}/daemon/mhad", f"{BUILD}/client/mhactl", "server", *words,
                       "--config", lab.mhad_yaml, check=False)


def test_down_is_no_candidate_and_no_alarm(lab):
    """It would be promoted, and is not: taken out, over a restart of mhad. What happens to it is nobody's business."""
    manager = Manager.start(lab, servers={"db2": {"promotion": "prefer"}})
    name = manager.cluster.name
    manager.wait(lambda status: status["if_primary_died"].get("candidate") == "db2", "db2 is the candidate")
    done = manager.order("server", "down", "db2", "--for", "2h", "--why", "a new disk")
    assert done.returncode == OK, done.stderr
    downtime = manager.server("db2")["downtime"]
    assert downtime["reason"] == "a new disk" and "uid 0" in downtime["by"]
    assert abs(downtime["until"] - downtime["since"] - 2 * 3600 * 10**6) < 10**6
    assert "a new disk" in manager.order("status", name).stdout
    manager.wait(lambda status: status["if_primary_died"].get("candidate") == "db3", "db3 is the candidate")
    lab["db2"].kill()
    manager.wait(lambda status: not manager.server("db2")["up"], "db2 is seen to be down")
    manager.stays(lambda status: status["health"] == "ok", 1, "it is an alarm")
    assert not manager.events("topology-problem")
    lab.kill_mhad()
    with open(f"{lab.mhad_state}/{name}/journal", "ab") as journal:
        journal.write(b'{"seq":')  # as a crash of the host leaves it
    lab.start_mhad()
    assert any("7 bytes were cut off" in event["text"] for event in manager.events("warning"))
    manager.wait_health("ok")
    assert manager.server("db2")["downtime"]["reason"] == "a new disk"
    lab["db2"].start()
    until(lab["db2"].replicating, PATIENCE, "db2 replicates")
    manager.wait(lambda status: manager.server("db2")["up"], "db2 is seen again")
    with Writer(lab) as writer:
        lab["db1"].kill()
        report = manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        assert report["new_primary"] == "db3"
        why = next(one["why"] for one in report["candidates"] if one["server"] == "db2")
        assert "a new disk" in why
        assert manager.well([writer]) is lab["db3"]
    assert manager.order("server", "up", name, "db2").returncode == OK
    assert "downtime" not in manager.server("db2")
    assert [event["server"] for event in manager.events("downtime-over")] == ["db2"]


def test_down_ends_by_itself(lab):
    manager = Manager.start(lab)
    assert manager.order("server", "down", "db3", "--for", "3s").returncode == OK
    lab["db3"].kill()
    manager.wait(lambda status: manager.server("db3").get("downtime") is None, "its end")
    manager.wait_health("warning")
    assert manager.events("downtime-over")[-1]["text"].endswith("its time is over")


def test_down_refused(lab):
    manager = Manager.start(lab)
    name = manager.cluster.name
    for words, says in ((("down", "db1"), "is the primary"), (("down", "db9"), "no cluster has a server"),
                        (("down", name, "db9"), "db1, db2, db3"), (("up", "db2"), "was not taken out")):
        done = manager.order("server", *words)
        assert done.returncode == REFUSED and says in done.stderr, done.stderr
    assert manager.order("server", "down", "db2", "--for", "soon").returncode == 2
    assert manager.order("server", "down", name, "db2").returncode == OK
    done = manager.order("switch", name, "--to", "db2", "--yes")
    assert done.returncode == REFUSED and "taken out" in done.stderr
    assert manager.status()["primary"] == "db1"


def test_dead_primary_is_removed(lab):
    """As --remove_dead_master_conf, but for the file, which mhad does not write."""
    manager = Manager.start(lab, failover={"remove_dead_primary": True})
    name = manager.cluster.name
    lab["db1"].kill()
    report = manager.wait_run()
    old = next(server for server in report["servers"] if server["name"] == "db1")
    assert "taken out of the cluster" in old["text"]
    manager.wait_health("ok")
    assert manager.server("db1")["downtime"]["removed"]
    assert "mhactl server remove" in manager.events("downtime")[0]["text"]
    lab.kill_mhad()
    lab.start_mhad()
    manager.wait_health("ok")
    lab["db1"].start()
    until(lambda: not lab["db1"].writable(), PATIENCE, "db1 read-only")
    assert manager.server("db1")["downtime"]["removed"]
    refused = manager.order("failover", name, "--to", "db1", "--yes")
    assert refused.returncode == 1, refused.stderr
    done = manager.order("rejoin", name, "db1")
    assert done.returncode == OK and "downtime" not in manager.server("db1"), done.stdout + done.stderr
    done = edit(lab, "remove", name, "db1")
    assert done.returncode == OK, done.stderr
    manager.wait(lambda status: len(status["servers"]) == 2, "it is out of the file")
    manager.wait_health("ok")


def test_servers_come_and_go(lab):
    """mhactl edits the file, and the daemon takes it over at once; the comments stay."""
    manager = Manager.start(lab)
    name = manager.cluster.name
    path = f"{lab.mgr.folder}/etc/clusters.d/{name}.yaml"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    text = text.replace("servers:\n", "servers: # in the cellar\n")
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o640)
    refused = edit(lab, "remove", name, "db1")
    assert refused.returncode == REFUSED and "db1 is the primary" in refused.stderr, refused
    assert len(manager.status()["servers"]) == 3
    done = edit(lab, "remove", name, "db3")
    assert done.returncode == OK, done.stderr
    assert [server["name"] for server in manager.status()["servers"]] == ["db1", "db2"]
    done = edit(lab, "add", name, "db3", f"host={lab['db3'].host.ip}", "promotion=prefer", "binlog_directory=/data")
    assert done.returncode == OK, done.stderr
    assert manager.server("db3")["promotion"] == "prefer"
    manager.wait_health("ok")
    manager.wait(lambda status: status["if_primary_died"].get("candidate") == "db3", "db3 is preferred")
    assert edit(lab, "set", name, "db3", "promotion=never", "port=3306").returncode == OK
    manager.wait(lambda status: status["if_primary_died"].get("candidate") == "db2", "db3 is never promoted")
    done = edit(lab, "set", name, "db3", "promotion=perhaps", "prt=1")
    assert done.returncode == REFUSED and "did you mean port" in done.stderr
    with open(path, encoding="utf-8") as file:
        assert "servers: # in the cellar\n" in file.read()
    assert os.stat(path).st_mode & 0o777 == 0o640
    lab["db1"].kill()
    assert manager.wait_run()["new_primary"] == "db2"


def test_unreachable_replica_holds(lab):
    """on_unreachable_replica: abort, as MHA does without ignore_fail; one that was taken out is not waited for."""
    manager = Manager.start(lab, failover={"on_unreachable_replica": "abort"})
    name = manager.cluster.name
    lab["db3"].host.cut()
    manager.wait(lambda status: any("db3 cannot be asked either" in reason
                                    for reason in status["if_primary_died"]["hold"]), "the guard")
    words = set()
    manager.wait(lambda status: words.update(one["text"] for one in status["problems"]) or len(words) > 1,
                 "what is said of it changes, as the network's answers do")
    assert len(manager.events("topology-problem")) == 1, words
    lab["db1"].kill()
    manager.wait_state("held")
    manager.untouched(2)
    assert manager.order("server", "down", name, "db3").returncode == OK
    assert manager.wait_run()["new_primary"] == "db2"
