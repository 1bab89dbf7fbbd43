"""What operators order: to hold back, to go on, to fail over, to read the configuration again."""

import concurrent.futures
import json
import os
import time

import pytest

from labkit import Writer, invariants
from labkit.host import BUILD
from labkit.process import run, until
from manager import PATIENCE, Manager, brief

MHAD = f"{BUILD}/daemon/mhad"
OK, REFUSED = 0, 1


def cluster_file(lab, name="app1"):
    return f"{lab.mgr.folder}/etc/clusters.d/{name}.yaml"


def edit(path, old, new):
    with open(path, encoding="utf-8") as file:
        text = file.read()
    assert old in text, text
    with open(path, "w", encoding="utf-8") as file:
        file.write(text.replace(old, new, 1))
    return text


# Holding back


def test_flap_window(lab):
    """The second failover is held, until somebody has seen the first."""
    manager = Manager.start(lab)
    with Writer(lab) as writer:
        lab["db1"].kill()
        first = manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        second_primary = manager.well([writer])
    manager.wait(lambda status: status["if_primary_died"]["hold"], "the guard")
    replica = next(server for server in lab.replicas if server is not second_primary)
    until(replica.replicating, PATIENCE, "the last one follows")
    second_primary.kill()
    status = manager.wait_state("held")
    assert manager.wait_event("held") and not status.get("run")
    manager.stays(lambda status: status["state"] == "held", 2, "it is not held")
    assert not replica.writable()
    done = manager.order("failover", manager.cluster.name, "--yes")
    assert done.returncode == REFUSED and "acknowledge" in done.stderr
    assert manager.order("acknowledge", manager.cluster.name).returncode == OK
    report = manager.wait_run(after=first["run"])
    assert report["old_primary"] == second_primary.name and report["new_primary"] == replica.name
    assert manager.well(dead=("db1", second_primary.name)) is replica
    assert [run["run"] for run in manager.history()] in ([first["run"], report["run"]], [report["run"], first["run"]])
    assert manager.report(first["run"])["run"] == first["run"]


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_flap_window_survives_a_restart(lab):
    manager = Manager.start(lab)
    lab["db1"].kill()
    first = manager.wait_run()
    primary = manager.well()
    assert lab.stop_mhad() == 0
    lab.start_mhad()
    manager.wait_state("steady")
    assert manager.status()["last_run"]["run"] == first["run"]
    primary.kill()
    manager.wait_state("held")
    done = manager.order("failover", manager.cluster.name, "--yes", "--ignore-last-failover")
    assert done.returncode == OK, done.stderr
    manager.well(dead=("db1", primary.name))


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_pause_and_resume(lab):
    manager = Manager.start(lab)
    name = manager.cluster.name
    assert manager.order("resume", name).returncode == REFUSED
    done = manager.order("pause", name, "--reason", "a new switch", "--for", "1h")
    assert done.returncode == OK, done.stderr
    paused = manager.status()["paused"]
    assert paused["reason"] == "a new switch" and "uid 0" in paused["by"] and paused["until"]
    lab.kill_mhad()
    lab.start_mhad()
    manager.wait_state("steady")
    with Writer(lab) as writer:
        lab["db1"].kill()
        status = manager.wait_state("held")
        assert status["paused"] and any("paus" in reason for reason in status["if_primary_died"]["hold"])
        manager.untouched(2)
        assert manager.order("resume", name).returncode == OK
        manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_pause_ends_by_itself(lab):
    """Also while nobody asks and the primary is well."""
    manager = Manager.start(lab)
    assert manager.order("pause", manager.cluster.name, "--for", "1s").returncode == OK
    manager.wait_event("resumed", timeout=10)
    assert "paused" not in manager.status()
    assert manager.order("pause", manager.cluster.name, "--for", "3s").returncode == OK
    lab["db1"].kill()
    manager.wait_state("held")
    manager.wait_run()
    manager.well()


@pytest.mark.modes("gtid")
def test_monitor_and_told(lab):
    """Only watched: it says what it would do, and does it when it is told to, with the server that it is told."""
    manager = Manager.start(lab, failover={"mode": "monitor"})
    name = manager.cluster.name
    assert manager.status()["mode"] == "monitor"
    done = manager.order("failover", name, "--yes")
    assert done.returncode == REFUSED and "alive" in done.stderr
    with Writer(lab) as writer:
        lab["db1"].kill()
        manager.wait_state("held")
        manager.untouched(1)
        plan = manager.ask("plan", "failover", name, "--to", "db3")["plan"]
        assert [step["name"] for step in plan["steps"]][0] == "confirm-dead" and plan["blocked"]
        assert manager.lab.mhactl("plan", "failover", name).stdout
        assert manager.order("failover", name, "--to", "db9", "--yes").returncode == REFUSED
        assert manager.order("failover", name, "--to", "db1", "--yes").returncode == REFUSED
        assert manager.order("failover", name).returncode == 30, "nobody to ask, no --yes"
        done = manager.order("failover", name, "--to", "db3", "--yes")
        assert done.returncode == OK, done.stderr
        report = manager.report()
        assert report["new_primary"] == "db3" and report["verdict"]["row"]
        writer.wait_elsewhere(PATIENCE)
        assert manager.well([writer]) is lab["db3"]
    assert manager.status()["mode"] == "monitor"


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_asking_changes_nothing(lab):
    """Every question, with and without --json, on a healthy cluster."""
    manager = Manager.start(lab)
    name = manager.cluster.name
    for words in (["status"], ["status", name], ["check", name], ["plan", "failover", name], ["events"],
                  ["events", name], ["history"], ["history", name], ["version"]):
        done = manager.order(*words)
        assert done.returncode == OK and (done.stdout or words[0] in ("history",)), (words, done.stderr)
        assert "\x1b" not in done.stdout
        for line in manager.order(*words, "--json").stdout.splitlines():
            json.loads(line)
    assert manager.order("report", name).returncode == REFUSED
    assert "app1" in manager.order("status", "nobody").stderr
    assert invariants(lab) is lab.primary
    manager.untouched(0.5)


# Configuration


def still_watches(manager, path, text):
    """What was running stays in force: it fails over, and takes the file again when its old text is back."""
    with Writer(manager.lab) as writer:
        manager.lab["db1"].kill()
        manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    assert manager.order("reload").returncode == OK


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("how", ["mhactl", "SIGHUP"])
def test_reload_with_errors(lab, how):
    """All of them are listed, and what ran stays in force: also for the next failover."""
    manager = Manager.start(lab)
    path = cluster_file(lab)
    text = edit(path, "servers:", "detection_:\n  x: 1\nservers:")
    edit(path, "port: 3306", "port: many")
    edit(path, "restart_grace: 100ms", "restart_grace: a while")
    if how == "mhactl":
        done = manager.order("reload")
        assert done.returncode == REFUSED
        said = done.stderr
    else:
        lab.reload_mhad()
        until(lambda: manager.lab.mhactl("events", "--json", check=False).stdout.count("config-rejected") >= 3,
              PATIENCE, "the errors")
        said = lab.mhad_log_tail()
    places = [line for line in said.splitlines() if "app1.yaml:" in line]
    assert len(places) >= 3, said
    for word in ("detection_", "many", "a while"):
        assert any(word in line for line in places), (word, said)
    assert any("detection" in line.replace("detection_", "") for line in places), "the nearest key is named"
    assert manager.status()["health"] == "ok"
    still_watches(manager, path, text)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_reload_with_a_key_of_no_use(lab):
    """What the files cannot tell is looked at before anything that runs is let go."""
    manager = Manager.start(lab)
    path, key = cluster_file(lab), f"{lab.folder}/locked_key"
    run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "a passphrase", "-f", key])
    text = edit(path, f"{lab.folder}/ssh_key", key)
    for said in ("passphrase", "not an SSH private key"):
        done = manager.order("reload")
        assert done.returncode == REFUSED and said in done.stderr and "identity_file" in done.stderr, done.stderr
        done = manager.order("check", "config")
        assert done.returncode != OK and said in done.stdout + done.stderr, (done.stdout, done.stderr)
        assert manager.status()["health"] == "ok"
        with open(key, "w", encoding="utf-8") as file:
            file.write("ssh-ed25519 AAAA the wrong one of the two\n")
    still_watches(manager, path, text)


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.parametrize("how", ["mhactl", "SIGHUP"])
def test_reload(lab, how):
    """A changed file is taken over, and the next failover goes by it."""
    manager = Manager.start(lab, servers={"db2": {"promotion": "allow"}})
    assert manager.status()["if_primary_died"]["candidate"] == "db2"
    edit(cluster_file(lab), "promotion: allow", "promotion: never")
    if how == "mhactl":
        done = manager.order("reload")
        assert done.returncode == OK, done.stderr
    else:
        lab.reload_mhad()
    manager.wait(lambda status: status["if_primary_died"].get("candidate") == "db3", "the new configuration")
    manager.wait_health("ok")
    with Writer(lab) as writer:
        lab["db1"].kill()
        assert manager.wait_run()["new_primary"] == "db3"
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_reload_adds_and_removes_a_cluster(make_lab, flavour):
    lab = make_lab(flavour=flavour, clusters=2, replicas=1)
    manager = Manager.start(lab)
    path = cluster_file(lab, "app2")
    os.rename(path, f"{path}.off")
    assert manager.order("reload").returncode == OK
    assert [one["cluster"] for one in manager.ask("status")["clusters"]] == ["app1"]
    os.rename(f"{path}.off", path)
    assert manager.order("reload").returncode == OK
    two = Manager(lab, lab.clusters[1])
    two.wait_health("ok")
    lab["db3"].kill()
    assert two.wait_run()["new_primary"] == "db4"
    two.well(dead=("db3",))


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_start_with_errors(lab):
    """It does not start, and says why."""
    lab.mhad_config(detection={"ping_intervall": "1s"})
    done = lab.mgr.run(MHAD, "--config", lab.mhad_yaml, "--check-config", check=False)
    assert done.returncode != 0 and "ping_intervall" in done.stderr and "ping_interval" in done.stderr
    mhad = lab.start_mhad(wait=False)
    assert mhad.wait(PATIENCE) != 0
    lab.mhad = None
    assert "app1.yaml:" in lab.mhad_log_tail()
    lab.mhad_config(detection={"ping_interval": "1s"})
    assert lab.mgr.run(MHAD, "--config", lab.mhad_yaml, "--check-config").returncode == 0


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_password_file_others_may_read(lab):
    lab.mhad_config()
    os.chmod(f"{lab.mgr.folder}/etc/mhad.password", 0o644)
    done = lab.mgr.run(MHAD, "--config", lab.mhad_yaml, "--check-config", check=False)
    assert done.returncode != 0 and "mhad.password" in done.stderr and "mhad-pw" not in done.stderr


# Who may


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_strangers_may_look_only(lab):
    manager = Manager.start(lab)
    stranger = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", f"{BUILD}/client/mhactl"]
    if lab.mgr.run(*stranger[:-1], "test", "-x", stranger[-1], check=False).returncode != 0:
        pytest.skip("the build folder is closed to others")
    done = lab.mgr.run(*stranger, "status", check=False)
    assert done.returncode == OK, done.stderr
    for words in (["pause", "app1"], ["failover", "app1", "--yes"], ["reload"], ["acknowledge", "app1"]):
        done = lab.mgr.run(*stranger, *words, check=False)
        assert done.returncode == REFUSED, (words, done.stdout)
    assert "paused" not in manager.status(), brief(manager.status())
    assert invariants(lab) is lab.primary


# Waiting


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_wait(lab):
    """masterha_master_monitor: who only watches says when the primary is dead; and when all is well again."""
    manager = Manager.start(lab, failover={"mode": "monitor"})
    name = manager.cluster.name
    assert manager.order("wait", name, "--until", "healthy", "--timeout", "20s").returncode == OK
    assert manager.order("wait", name, "--until", "dead", "--timeout", "1s").returncode == 4
    assert manager.order("wait", name).returncode == 2
    assert manager.order("wait", "nobody", "--until", "dead").returncode == REFUSED
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(manager.order, "wait", name, "--until", "dead", "--timeout", f"{PATIENCE}s")
        lab["db1"].kill()
        assert waiting.result().returncode == OK
    assert manager.status()["finding"]["finding"] == "dead"
    manager.untouched(1)
    lab["db1"].start()
    assert manager.order("wait", name, "--until", "healthy", "--timeout", f"{PATIENCE}s").returncode == OK
    assert manager.status()["health"] == "ok"


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_wait_for_a_failover(lab):
    """Who waits for a death is told of one that was over in a moment, too."""
    manager = Manager.start(lab)
    name = manager.cluster.name
    with concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(manager.order, "wait", name, "--until", "dead", "--timeout", f"{PATIENCE}s")
        until(lambda: lab.mgr.processes("mhactl"), PATIENCE, "it is started")
        time.sleep(0.5)
        lab["db1"].kill()
        manager.wait_run()
        assert waiting.result().returncode == OK
