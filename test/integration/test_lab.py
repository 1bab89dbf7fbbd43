"""The lab does what it says, and leaves nothing behind."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time

import pytest

from labkit import Lab, LabError, Writer, compare, invariants
from labkit.check import Violation
from labkit.process import Process, all_pids, namespace, until

TEST = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LAB = os.path.join(TEST, "lab")
CONNECT = """
import socket, sys, time
start = time.monotonic()
wire = socket.socket()
wire.settimeout(1)
try:
    wire.connect((sys.argv[1], 3306))
    print("greeted" if wire.recv(1) else "closed")
except TimeoutError:
    print("silent")
except ConnectionRefusedError:
    print("refused")
except ConnectionResetError:
    print("reset")
"""


def knock(host, server):
    """What a host gets from the SQL port of a server."""
    return host.run("/usr/bin/python3", "-I", "-c", CONNECT, server.ip).stdout.strip()


def promote(lab, server):
    """A failover by hand: once a replica has applied all that it received, make it the primary with the address."""
    server.stop_io()
    until(lambda: (status := server.status())["executed"] == status["read"], 10, "applied")
    server.sql(server.word("stop"), server.word("reset_replica"))
    server.set_read_only(False)
    server.host.add_address(lab.address)


# What it says it does


def test_replicates(lab):
    with Writer(lab) as writer:
        writer.wait_acknowledged(50)
        account = writer.stop()
    assert invariants(lab, writers=[writer]) is lab.primary
    assert len(account.acks) >= 50 and not account.errors and account.servers() == [1]
    assert writer.rows_on(lab["db3"]) == set(account.acknowledged)
    assert lab.mgr.run("ssh", "-i", f"{lab.folder}/ssh_key", "-o", "StrictHostKeyChecking=no", "-o",
                       "UserKnownHostsFile=/dev/null", "root@db2", "hostname").stdout == "db2\n"


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_faults(lab):
    db1, db2, mgr = lab["db1"], lab["db2"], lab.mgr
    with Writer(lab) as writer:
        db1.freeze()
        assert knock(mgr, db1) == "silent"
        time.sleep(0.3)
        db1.thaw()
        writer.wait_acknowledged(20)
        assert writer.account().downtime_ms >= 300
        assert knock(mgr, db1) == "greeted"

        db1.host.cut()
        assert knock(mgr, db1) == "silent" and knock(db2.host, db1) == "silent"
        assert db1.writable(), "the lab itself reaches it all the same"
        db1.host.heal()
        writer.wait_acknowledged(20)
        assert writer.account().downtime_ms >= 1000

        db1.host.cut("mgr")
        assert knock(mgr, db1) == "silent" and knock(db2.host, db1) == "greeted"
        db1.host.heal("mgr")
        assert knock(mgr, db1) == "greeted"

        db1.kill()
        until(lambda: knock(mgr, db1) == "refused", 10, "nobody listens")
        time.sleep(0.3)
        assert not db1.running()
        db1.restart()
        writer.wait_acknowledged(20)
        assert writer.account().downtime_ms >= 300

        db2.stop_io()
        writer.wait_acknowledged(10)
        assert db2.status()["io"] == "No" and writer.missing_on(db2)
        db2.start_io()

        db2.host.power_off()
        assert not db2.host.running() and knock(mgr, db1) == "greeted"
        db2.host.power_on()
        assert not db2.writable()
    invariants(lab, writers=[writer])


@pytest.mark.lab(replicas=1)
def test_writer_sees_a_failover(lab):
    with Writer(lab) as writer:
        writer.wait_acknowledged(50)
        lab.primary.host.power_off()
        promote(lab, lab["db2"])
        writer.wait_elsewhere()
        writer.wait_acknowledged(20)
        account = writer.stop()
    assert account.servers() == [1, 2]
    assert account.switch_ms > 0 and abs(account.downtime_ms - account.switch_ms) < 50
    missing = writer.missing_on(lab["db2"])
    assert len(missing) < 10, "without semi-sync the last rows may be lost, the others not"
    invariants(lab, dead=["db1"])


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("position")
def test_harm_is_seen(lab):
    with Writer(lab) as writer:
        writer.wait_acknowledged(20)
    compare(lab.servers)
    lost = writer.account().acknowledged[3]
    lab["db3"].sql("SET sql_log_bin=0", f"DELETE FROM app.writes WHERE id={lost}")
    assert writer.missing_on(lab["db3"]) == [lost] and not writer.missing_on(lab["db2"])
    with pytest.raises(Violation, match="data differ"):
        compare(lab.servers, timeout=0.2)
    lab["db2"].set_read_only(False)
    with pytest.raises(Violation, match="writable servers: db1, db2"):
        invariants(lab)


# Settings


@pytest.mark.lab(topology="chain", replicas=3)
def test_chain(lab):
    assert lab["db3"].status()["source"] == lab["db2"].ip
    with Writer(lab) as writer:
        writer.wait_acknowledged(20)
    invariants(lab, writers=[writer], direct=False)


@pytest.mark.flavours("mariadb", "mysql9")
@pytest.mark.modes("gtid")
@pytest.mark.lab(semisync=True, replicas=1)
def test_semisync(lab):
    with Writer(lab) as writer:
        writer.wait_acknowledged(20)
        lab["db2"].host.cut()
        time.sleep(0.2)
        before = len(writer.account().acks)
        time.sleep(0.3)
        assert len(writer.account().acks) == before, "no write is acknowledged that no replica has"


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(supervised=300, replicas=1)
def test_supervised(lab):
    db1 = lab.primary
    db1.kill()
    until(db1.running, 5, "the supervisor's restart")
    db1.wait_ready()
    db1.host.run("/run/lab/stop-database")
    time.sleep(0.6)
    assert not db1.running()
    lab["db2"].freeze()
    lab["db2"].host.run("/run/lab/stop-database")
    assert not lab["db2"].running()


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
@pytest.mark.lab(clusters=2, replicas=1)
def test_two_clusters(lab):
    assert [server.name for server in lab.clusters[1].servers] == ["db3", "db4"]
    for cluster in lab.clusters:
        with Writer(lab, cluster) as writer:
            writer.wait_acknowledged(10)
        invariants(lab, cluster=cluster, writers=[writer])
    lab.mhad_config(detection={"restart_grace": "0s"}, servers={"db2": {"promotion": "never"}})
    for path in (lab.mhad_yaml, f"{lab.mgr.folder}/etc/clusters.d/app2.yaml", f"{lab.mgr.folder}/etc/mhad.password"):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_wrong_settings_are_refused():
    for wrong in ({"mode": "both"}, {"flavour": "oracle"}, {"replicas": 9}, {"colour": "red"}):
        with pytest.raises(LabError):
            Lab.up(**wrong)


# It leaves nothing behind


@pytest.fixture
def base():
    """A base folder of our own, so that "down --all" is about our labs only."""
    with tempfile.TemporaryDirectory(prefix="mhad-lab-test-", dir="/var/tmp") as path:
        yield path
        cli(path, "down", "--all")


def cli(base, *arguments, check=True):
    done = subprocess.run([LAB, *arguments], env={**os.environ, "MHAD_LAB_BASE": base}, timeout=120, check=False,
                          capture_output=True, text=True)
    assert done.returncode == 0 or not check, done.stderr
    return done


def machine():
    """What a lab could have changed of the machine."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = file.read()
    devices = []
    for place, folders, names in os.walk("/dev"):
        folders[:] = [name for name in folders if name not in ("pts", "shm", "fd")]
        for name in names:
            facts = os.lstat(f"{place}/{name}")
            devices.append((f"{place}/{name}", facts.st_mode, facts.st_rdev))
    return {
        "mounts": mounts,
        "links": sorted(os.listdir("/sys/class/net")),
        "devices": sorted(devices),
        "named namespaces": sorted(os.listdir("/run/netns")) if os.path.isdir("/run/netns") else [],
        "hostname": socket.gethostname(),
        "addresses": subprocess.run(["ip", "-o", "addr", "show", "scope", "global"], capture_output=True, text=True,
                                    check=True).stdout,
    }


def processes_of(base):
    """Living processes that have to do with a base folder, as their arguments or mounts tell."""
    found = []
    for pid in all_pids():
        try:
            with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as mounts:
                related = base in mounts.read() or any(base in word for word in Process(pid).arguments())
        except OSError:
            continue
        if related and pid != os.getpid() and Process(pid).alive():
            found.append(pid)
    return found


def namespaces_of(pid):
    """Those that can be read: of a process that ends meanwhile, or of another user's, none can."""
    found = {(kind, namespace(pid, kind)) for kind in ("net", "mnt", "pid", "uts", "ipc")}
    return {(kind, number) for kind, number in found if number is not None}


def traces(base):
    """What a living lab has: its processes, with every other that is in a namespace of theirs, and these namespaces.

    When all of the former are dead, so are the latter; their numbers may then be another's.
    """
    processes = [Process(pid) for pid in processes_of(base)]
    inside = set().union(*(namespaces_of(process.pid) for process in processes)) - namespaces_of("self")
    return processes + [Process(pid) for pid in all_pids() if namespaces_of(pid) & inside], inside


def assert_nothing_left(base, before, traced):
    assert machine() == before
    assert processes_of(base) == []
    assert not [process for process in traced[0] if process.alive()]
    assert [name for name in os.listdir(base) if name != ".lock"] == []


@pytest.mark.flavours("mariadb", "mysql9")
def test_leaves_nothing(base, available):
    before = machine()
    cli(base, "up", "--id", "tidy", "--flavour", available, "--replicas", "1")
    cli(base, "writer", "start")
    cli(base, "cut", "db2")
    traced = traces(base)
    assert len(traced[0]) > 8 and len(traced[1]) > 8
    assert machine() == before
    assert "db2" in cli(base, "status").stdout
    cli(base, "down", "tidy")
    assert_nothing_left(base, before, traced)


UP_AND_WAIT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from labkit import Lab, Writer
lab = Lab.up()
Writer(lab).start()
print("up", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("after", [0.15, 0.3, None])
def test_leaves_nothing_after_a_crash(base, after):
    """SIGKILL in the middle of up, and (None) while it is up."""
    before = machine()
    with subprocess.Popen([sys.executable, "-c", UP_AND_WAIT, TEST], env={**os.environ, "MHAD_LAB_BASE": base},
                          stdout=subprocess.PIPE) as child:
        if after is None:
            assert child.stdout.readline() == b"up\n"
        else:
            time.sleep(after)
        child.kill()
    traced = traces(base)
    cli(base, "down", "--all")
    assert_nothing_left(base, before, traced)


@pytest.mark.parametrize("after", [0.2, 0.4])
def test_leaves_nothing_after_ctrl_c(base, after):
    before = machine()
    with subprocess.Popen([LAB, "up"], env={**os.environ, "MHAD_LAB_BASE": base}, start_new_session=True,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as child:
        time.sleep(after)
        os.killpg(child.pid, signal.SIGINT)
        words = child.communicate(timeout=30)[1]
    assert child.returncode in (130, -signal.SIGINT), words
    assert_nothing_left(base, before, ([], set()))


def test_refuses_to_remove_what_is_not_its_own(base):
    cli(base, "up", "--id", "one", "--replicas", "1")
    manifest = f"{base}/one/lab.json"
    assert json.load(open(manifest, encoding="utf-8"))["net"] > 0
    assert cli(base, "down", "..", check=False).returncode == 1
    assert cli(base, "up", "--id", "one", check=False).returncode == 1
    os.mkdir(f"{base}/stranger")
    cli(base, "down", "--all")
    assert os.listdir(f"{base}/stranger") == [] and not os.path.exists(f"{base}/one")
    os.rmdir(f"{base}/stranger")
