"""mhactl check: it finds what is wrong and names it, and is silent when nothing is."""

import json
import os
import subprocess
import time

import pytest

from labkit import folder
from labkit.host import BUILD
from labkit.process import until
from manager import Manager

OK, NOT_READY = 0, 1
GTID = pytest.mark.modes("gtid")


def check(manager, *words, status=None):
    """The findings {(id, server): text} of a check that are no "ok"; status is what mhactl must end with."""
    done = manager.order("check", *words, "--json")
    answer = json.loads(done.stdout)
    assert done.returncode == (OK if answer["ready"] else NOT_READY)
    assert status is None or done.returncode == status, done.stdout
    for result in answer["checks"]:
        assert result["level"] == "ok" or result.get("remedy"), result
    return {(result["id"], result.get("server")): result["text"] for result in answer["checks"]
            if result["level"] != "ok"}


def levels(manager, *words):
    done = manager.order("check", *words, "--json")
    return {result["level"] for result in json.loads(done.stdout)["checks"]}


def variable(server, old, new):
    """A variable's name on that version."""
    return new if server.flavour.name == "mysql9" else old


# Replication


def plant(lab):
    """One fault of each kind that can be planted while servers run, each on one server."""
    one, two, three = lab.servers
    role = three.word("Source").upper()
    for server in lab.servers:
        server.sql("SET GLOBAL max_connections = 250")
        if lab.flavour.has_super_read_only:
            server.sql("SET GLOBAL super_read_only = 0")
    one.sql("CREATE TABLE app.without_key (a INT)", "SET GLOBAL binlog_format = STATEMENT",
            "SET GLOBAL sync_binlog = 0")
    two.sql("SET sql_log_bin = 0", "REVOKE RELOAD ON *.* FROM 'mhad'@'%'", "SET GLOBAL max_connections = 249")
    three.sql("SET sql_log_bin = 0", "DROP USER 'repl'@'%'", "SET GLOBAL sql_mode = ''",
              f"SET GLOBAL {variable(three, 'slave_net_timeout', 'replica_net_timeout')} = 60", three.word("stop"),
              f"{three.word('change')} {role}_HEARTBEAT_PERIOD = 30", three.word("start"))


    if lab.flavour.name == "mysql56":
        three.sql(three.word("stop"), "SET GLOBAL relay_log_info_repository = 'FILE'", three.word("start"))


EXPECTED = {
    ("primary_key", "db1"): "app.without_key",
    ("binlog_format", "db1"): "STATEMENT",
    ("durability", "db1"): "sync_binlog is 0",
    ("account_privileges", "db2"): "RELOAD",
    ("settings", None): "max_connections is 250 on db1, db3; 249 on db2",
    ("replication_account", "db3"): "no account repl",
    ("variables", None): "sql_mode is ",
    ("heartbeat", "db3"): "noticed by its receiver in 61 s, not 4",
}


@pytest.mark.also("mariadb11")
@GTID
def test_replication(lab):
    """Silent at first; then each planted fault is named, with its server, and nothing else."""
    lab.primary.sql("GRANT SELECT ON *.* TO 'mhad'@'%'")  # to see tables
    manager = Manager.start(lab)
    quiet = check(manager, "replication", status=OK)
    assert not {"error", "warning"} & levels(manager, "replication"), quiet
    plant(lab)
    until(lab["db3"].replicating, 30, "db3 replicates again")
    manager.wait_health("ok")
    found = check(manager, "replication", status=NOT_READY)
    expected = dict(EXPECTED)
    if lab.flavour.name == "mysql56":
        expected["relay_log_recovery", "db3"] = "relay_log_info_repository is FILE"
    for key, words in expected.items():
        assert words in found.get(key, ""), (key, found)
    assert set(found) - set(expected) <= set(quiet), found
    shown = manager.order("check", "replication", manager.cluster.name).stdout
    assert "What to do" in shown and "is NOT OK: 2 errors" in shown, shown
    manager.secrets()


@GTID
def test_replication_history(lab):
    """Transactions and logs: a replica with some of its own; a stopped one whose logs are purged; a writable one."""
    manager = Manager.start(lab)
    one, two, three = lab.servers
    three.stop_io()
    for _ in range(3):
        one.sql("CREATE TABLE IF NOT EXISTS app.some (a INT PRIMARY KEY)", "FLUSH LOGS",
                "REPLACE INTO app.some VALUES (1)")
    last = one.sql("SHOW BINARY LOGS")[-1]["Log_name"]
    until(lambda: two.value("SELECT COUNT(*) FROM app.some"), 30, "db2 has the table")
    one.sql("FLUSH LOGS", f"PURGE BINARY LOGS TO '{last}'")
    if lab.flavour.has_super_read_only:
        two.sql("SET GLOBAL super_read_only = 0")
    two.sql("SET GLOBAL read_only = 0", "CREATE DATABASE stray")
    manager.wait(lambda status: "is a replica, but writable" in str(status), "db2 seen to be writable")
    found = check(manager, "replication", status=NOT_READY)
    assert "the primary db1" in found["purged", "db3"]
    assert "the primary db1 lacks" in found["errant", "db2"]
    assert ("writable_replica", "db2") in found and ("receiver_stopped", "db3") in found


@GTID
@pytest.mark.flavours("mariadb")
def test_replication_options(lab):
    """What only a restart with other options changes; and a hook that cannot be run."""
    hook = f"{lab.mgr.folder}/prepare"
    folder.write(hook, "#!/bin/sh\n", 0o700)
    asked = f"{lab.mgr.folder}/status"
    folder.write(asked, '#!/bin/sh\ncat >"$0.input"\n. "$0.does"\n', 0o700)
    folder.write(f"{asked}.does", "exit 0\n")
    manager = Manager.start(lab, hooks={"prepare": [hook], "status": [asked, "status"]})
    assert not {"hook", "hook_status"} & {key[0] for key in check(manager, "replication")}
    with open(f"{asked}.input", encoding="utf-8") as file:
        said = json.load(file)
    assert said["hook"] == "status" and said["old_primary"]["name"] == "db1" and "run" not in said, said
    two, three = lab.replicas

    def ignore(server, names, health):
        server.sql(server.word("stop"), f"SET GLOBAL replicate_ignore_db = '{names}'", server.word("start"))
        manager.wait_health(health)

    ignore(two, "x,y", "warning")
    ignore(three, "y,x", "ok")  # the same, and the two do not exclude each other
    ignore(two, "", "warning")
    three.stop()
    three.extra_options |= {"binlog_ignore_db": "other", "log_slave_updates": 0}
    three.write_config()
    three.start()
    until(three.replicating, 30, "db3 replicates again")
    manager.wait_health("ok")
    os.chmod(hook, 0o600)
    found = check(manager, "replication", status=NOT_READY)
    assert found["binlog_filters", None] == "binlog_ignore_db is nothing on db1, db2; other on db3"
    assert ("log_slave_updates", "db3") in found
    assert "prepare" in found["hook", None] and "Permission denied" in found["hook", None]
    assert ("hook_status", None) not in found
    folder.write(f"{asked}.does", "echo 'the balancer does not answer' >&2; exit 3\n")
    found = check(manager, "replication", status=NOT_READY)
    assert found["hook_status", None].endswith("the balancer does not answer"), found
    folder.write(f"{asked}.does", "sleep 1000\n")
    began = time.monotonic()
    found = check(manager, "replication", status=NOT_READY)
    assert time.monotonic() - began < 25 and "status" in found["hook_status", None], found
    assert ("log_slave_updates", "db3") in found, found  # the servers have answered


@GTID
@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.lab(semisync=True)
def test_semi_sync(lab):
    manager = Manager.start(lab)
    one, two, three = lab.servers
    for server in lab.servers:
        server.set_semisync(server is one)
        if server is not one:
            server.stop_io()
            server.start_io()
    source, replica = (one.word(f"semisync_{role}") for role in ("source", "replica"))
    point = source.replace("_enabled", "_wait_point")
    one.sql(f"SET GLOBAL {point} = AFTER_SYNC")
    until(lambda: not {"error", "warning"} & levels(manager, "replication"), 30, "semi-sync works")  # 10.5 counts late
    until(lambda: manager.order("check", "failover").stdout.count("nothing that was acknowledged"), 60,
          "the daemon has seen it")
    one.sql(f"SET GLOBAL {point} = AFTER_COMMIT")
    two.sql(f"SET GLOBAL {replica} = 0")
    two.stop_io()
    two.start_io()
    found = check(manager, "replication", status=OK)
    assert ("semi_sync_inactive", "db2") in found and ("semi_sync_wait_point", "db1") in found
    assert "semi_sync_off" not in {key[0] for key in found}
    three.stop_io()
    until(lambda: ("semi_sync_inactive", "db1") in check(manager, "replication") or
          ("semi_sync_locks", "db1") in check(manager, "replication"), 60, "it is seen that nobody acknowledges")


@pytest.mark.also("mariadb11")
@GTID
def test_privileges_suffice(lab):
    """The lab's account of mhad is that of mhad-privileges(7), and nothing is missing; less is named."""
    grants = lab.primary.sql("SHOW GRANTS FOR 'mhad'@'%'")
    assert not any("ALL PRIVILEGES" in text for row in grants for text in row.values()), grants
    manager = Manager.start(lab)
    found = check(manager, "replication", status=OK)
    assert not {"account_privileges", "replication_account", "replication_account_unknown"} & {key[0] for key in found}
    lab.primary.sql("REVOKE RELOAD ON *.* FROM 'mhad'@'%'", "REVOKE EVENT ON *.* FROM 'mhad'@'%'",
                    "REVOKE SELECT (host, user, repl_slave_priv) ON mysql.user FROM 'mhad'@'%'")
    until(lambda: ("replication_account_unknown", "db3") in check(manager, "replication", status=NOT_READY), 30,
          "it is seen")
    lacks = [text for (name, _), text in check(manager, "replication").items() if name == "account_privileges"]
    assert any("RELOAD" in text for text in lacks) or any("EVENT" in text for text in lacks), lacks


@GTID
@pytest.mark.flavours("mariadb")
@pytest.mark.lab(clusters=2, replicas=1)
def test_clusters(lab):
    """All at once, each finding with its cluster; one that is configured anew or cannot answer spoils nothing."""
    manager = Manager.start(lab)
    lab["db4"].sql("SET GLOBAL sync_binlog = 0")
    for what in ("ssh", "replication", "failover"):
        done = manager.order("check", what, "--json")
        answer = json.loads(done.stdout)
        assert done.returncode == OK and {result["cluster"] for result in answer["checks"]} == {"app1", "app2"}
        found = [(result["cluster"], result["server"]) for result in answer["checks"] if result["id"] == "durability"]
        assert found == ([("app2", "db4")] if what == "replication" else [])
    lab["db2"].freeze()
    manager.wait(lambda status: not manager.server("db2")["up"], "db2 is seen to be frozen")
    found = check(manager, "replication", "app1", status=NOT_READY)
    assert ("server_down", "db2") in found and "nobody could be promoted" in found["no_candidate", None]
    lab["db2"].thaw()
    assert manager.order("server", "down", "db4", "--for", "1h", "--why", "a new disk").returncode == OK
    found = check(manager, "replication", "app2")
    assert found["downtime", "db4"] == "it is taken out (a new disk) and not checked"
    assert ("durability", "db4") not in found


# SSH


def configure_sshd(host, *lines):
    """sshd with these lines before all others, for sessions from now on."""
    path = f"{host.folder}/sshd_config"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    folder.write(path, "".join(f"{line}\n" for line in lines) + text)
    log = f"{host.folder}/sshd.log"
    before = open(log, encoding="utf-8").read().count("Server listening")
    host.send_signal("sshd", 1)
    until(lambda: open(log, encoding="utf-8").read().count("Server listening") > before, 10, f"sshd of {host.name}")


@GTID
@pytest.mark.flavours("mariadb")
def test_ssh(lab):
    """Silent but for what a lab lacks (systemd); then one fault a host."""
    manager = Manager.start(lab)
    assert {key[0] for key in check(manager, "ssh", status=OK)} <= {"ssh_systemd"}
    one, two, three, client = (lab.host(name) for name in ("db1", "db2", "db3", "client"))
    configure_sshd(one, "AllowTcpForwarding local")
    one.run("mv", "/srv/mysql/binlog.index", "/srv/mysql/away")
    configure_sshd(two, "AllowTcpForwarding no")
    configure_sshd(three, "AuthorizedKeysFile /dev/null")
    client.end("sshd")
    found = check(manager, "ssh", status=NOT_READY)
    one.run("mv", "/srv/mysql/away", "/srv/mysql/binlog.index")
    assert "binlog.index" in found["ssh_binlogs", "db1"] and ("ssh_reverse", "db1") in found
    assert ("ssh_forwarding", "db1") not in found
    assert "forbids forwarding" in found["ssh_forwarding", "db2"] and ("ssh_reverse", "db2") in found
    assert "the key is not accepted for user root" in found["ssh_login", "db3"]
    assert ("ssh_unreachable", "client") in found
    failover = check(manager, "failover")
    assert "its binary log can be read" not in failover["loss_possible", "db1"] or ("ssh_binlogs", "db1") not in found


@GTID
@pytest.mark.flavours("mariadb")
def test_ssh_hosts(lab):
    """What is wrong with the hosts themselves: the key, the clock, programs, the way to each other, the device."""
    manager = Manager.start(lab, address={"device": "eth7"})
    one, two, three = (lab.host(name) for name in ("db1", "db2", "db3"))
    folder.write(f"{one.folder}/date", "#!/bin/sh\necho 1000000.5\n", 0o755)
    one.run("mount", "--bind", f"{one.folder}/date", one.run("sh", "-c", "command -v date").stdout.strip())
    two.run("mount", "--bind", "/dev/null", two.run("sh", "-c", "command -v ss").stdout.strip())
    path = f"{lab.mgr.folder}/etc/known_hosts"
    with open(path, encoding="utf-8") as file:
        keys = {line.split(" ", 1)[0]: line.split(" ", 1)[1] for line in file}
    name = f"{three.ip},{three.name}"
    keys[name] = keys[f"{one.ip},{one.name}"]
    folder.write(path, "".join(f"{place} {key}" for place, key in keys.items()))
    one.cut("db2")
    found = check(manager, "ssh", status=NOT_READY)
    one.heal("db2")
    for place, words in {("ssh_clock", "db1"): "behind", ("ssh_programs", "db2"): "missing on the host: ss",
                         ("ssh_host_key", "db3"): "", ("ssh_address", "db1"): "there is no device eth7",
                         ("ssh_address", "db2"): "there is no device eth7", ("ssh_path", "db2"): "",
                         ("ssh_path", "db1"): "the database of db2 cannot be reached from it"}.items():
        assert place in found and words in found[place], f"{place}: {found}"


@GTID
@pytest.mark.flavours("mariadb")
@pytest.mark.lab(replicas=1)
def test_mesh(lab):
    """Hosts that have no keys for each other; then they have."""
    manager = Manager.start(lab)
    found = check(manager, "ssh", "--mesh", status=NOT_READY)
    assert "cannot log in to db2" in found["ssh_mesh", "db1"] and ("ssh_mesh", "db2") in found
    for name in ("db1", "db2"):
        lab.host(name).run("mkdir", "-p", "-m", "700", "/run/home/.ssh")
        lab.host(name).run("cp", f"{lab.folder}/ssh_key", "/run/home/.ssh/id_ed25519")
    assert {key[0] for key in check(manager, "ssh", "--mesh", status=OK)} <= {"ssh_systemd"}


# Failover


@GTID
@pytest.mark.flavours("mariadb")
def test_failover(lab):
    manager = Manager.start(lab)
    name = manager.cluster.name
    done = manager.order("check", "failover", name)
    assert done.returncode == OK, done.stdout
    for words in ("if it died now, db2 would be promoted", "then db3 would be promoted after db1",
                  "then db2 would be promoted after db1", "where its binary log can be read", "nobody could write for"):
        assert words in done.stdout, (words, done.stdout)
    assert "nobody could write for" in manager.order("status", name).stdout
    manager.order("pause", name, "--reason", "a test")
    assert "a test" in check(manager, "failover", name, status=NOT_READY)["guard", None]
    manager.order("resume", name)
    lab["db3"].kill()
    manager.wait(lambda status: not manager.server("db3")["up"], "db3 is seen to be down")
    found = check(manager, "failover", name, status=OK)
    assert "nobody could be promoted after db1" in found["last_replica", "db2"]
    lab["db2"].kill()
    manager.wait(lambda status: not manager.server("db2")["up"], "db2 is seen to be down")
    assert "nobody would be promoted" in check(manager, "failover", name, status=NOT_READY)["no_candidate", "db1"]


# Configuration and words


@GTID
@pytest.mark.flavours("mariadb")
@pytest.mark.lab(replicas=1, address=False)
def test_config(lab):
    manager = Manager.start(lab)
    assert check(manager, "config", status=OK) == {}
    path = f"{lab.mgr.folder}/etc/clusters.d/{manager.cluster.name}.yaml"
    with open(path, "a", encoding="utf-8") as file:
        file.write("nonsense: 1\n")
    found = check(manager, "config", status=NOT_READY)
    assert "nonsense" in found["config_error", None] and f"{path}:" in found["config_error", None]

    def here(*words):
        return lab.mgr.run("/usr/bin/env", f"MHAD_PROGRAM={BUILD}/daemon/mhad", f"{BUILD}/client/mhactl", "check",
                           "config", *words, check=False)
    done = here(lab.mhad_yaml)
    assert done.returncode == NOT_READY and "nonsense" in done.stderr
    for words in (("nothing", "app1"), ("replication", "nobody"), ("failover", "--mesh")):
        assert manager.order("check", *words).returncode in (1, 2)
    assert lab.stop_mhad() == 0
    assert "/etc/mhad/mhad.yaml" in here().stderr  # its own, when the daemon does not run
    Manager.start(lab, ssh={"enabled": False}, fence={"policy": "required"})
    found = check(manager, "config", status=OK)
    assert "can never be satisfied" in found["config_warning", None], found
    assert "ssh.enabled is false" in check(manager, "ssh", status=OK)["ssh_disabled", None]
    assert lab.stop_mhad() == 0
    os.rename(f"{manager.folder}/journal", f"{manager.folder}/away")
    os.mkdir(f"{manager.folder}/journal")
    lab.start_mhad()
    assert "journal" in check(manager, status=NOT_READY)["unusable", None]
    assert "journal" in manager.order("status").stdout
    done = manager.order("history", manager.cluster.name)
    assert done.returncode == 1 and "cannot be watched" in done.stderr and "journal" in done.stderr, done.stderr


@GTID
@pytest.mark.flavours("mariadb")
@pytest.mark.lab(clusters=2, replicas=1)
def test_reload_meanwhile(lab):
    """Clusters that are configured anew while they are checked, and clients that go: all who stay get an answer."""
    manager = Manager.start(lab)
    path = f"{lab.mgr.folder}/etc/clusters.d/app1.yaml"
    with open(path, encoding="utf-8") as file:
        text = file.read()
    anew = 0
    for number in range(10):
        clients = [subprocess.Popen(lab.mgr.command(f"{BUILD}/client/mhactl", "check", what), stdout=subprocess.PIPE)
                   for what in ("ssh", "replication", "failover", "config", "ssh")]
        time.sleep(0.02 * (number % 7))
        folder.write(path, f"{text}switchover: {{max_lag: {number + 5}s}}\n")
        assert manager.order("reload").returncode == OK
        gone = clients.pop()
        gone.kill()
        gone.communicate()
        answers = [client.communicate(timeout=40)[0].decode() for client in clients]
        assert all("is OK" in answer or "is NOT OK" in answer for answer in answers), answers
        anew += sum("configured anew meanwhile" in answer for answer in answers)
    assert anew, "no reload came in between"
    manager.wait_health("ok")
