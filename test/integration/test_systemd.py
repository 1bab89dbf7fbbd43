"""mhad as the service of a booted systemd: started, watched over, restarted, fenced in, and heard in the journal."""

import base64
import concurrent.futures
import contextlib
import glob
import json
import os
import shutil
import signal
import threading
import time

import pytest

from conftest import LABS
from labkit import Lab, Service, Unavailable, Writer
from labkit.host import BUILD, REPOSITORY
from labkit.process import run, until
from manager import PATIENCE, QUICK, Manager, rungs

ALARMS = ("suspect", "dead", "held", "run-started", "run-resumed", "topology-problem", "stall",
          "warning", "error")
EXPOSURE_MOST = 1.5
SILENCE = 75  # seconds; more than a minute, see test_silent_while_healthy()
NOT_FOUND = 3  # exit status of mhactl: mhad cannot be reached


class Served(Manager):
    """One cluster under mhad as a service: the journal is what it has written."""

    def __init__(self, service):
        super().__init__(service.lab)
        self.service = service

    def secrets(self):
        """Looked for in a test of its own."""

    def order(self, *arguments, timeout=PATIENCE):
        return self.service.host.run("mhactl", *arguments, timeout=timeout, check=False)


def boot(systemd=("mgr",), **settings):
    """A lab with mhad installed in its host mgr, not configured yet."""
    try:
        lab = Lab.up(systemd=list(systemd), **settings)
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO SYSTEMD IN A CONTAINER: {error}")
    return Service(lab)


@contextlib.contextmanager
def booted(systemd=("mgr",), **settings):
    service = boot(systemd, **settings)
    try:
        yield service
    finally:
        service.lab.down()


@pytest.fixture(scope="module")
def calm_host():
    """One lab for all tests that leave its servers alone."""
    with booted(replicas=1) as service:
        service.install()
        yield service


@pytest.fixture
def calm(calm_host, request):
    """It, with mhad configured anew, neither enabled nor running."""
    service = calm_host
    request.node.stash.setdefault(LABS, []).append(service.lab)
    service.ctl("disable", "--now", "mhad.service", "mhad.socket")
    service.ctl("reset-failed")
    drop_ins = f"{service.root()}/etc/systemd/system/mhad.service.d"
    if os.path.isdir(drop_ins):
        shutil.rmtree(drop_ins)
        service.ctl("daemon-reload")
    service.configure(**QUICK)
    service.mark = time.time()
    yield service
    if service.state() == "active":
        service.ctl("stop", "mhad")


@pytest.fixture
def served(request):
    """served(...) makes a lab, runs mhad in it as a service, and gives the manager of its cluster."""
    with contextlib.ExitStack() as stack:

        def make(systemd=("mgr",), supervised=None, before=None, **sections):
            service = stack.enter_context(booted(systemd, replicas=1, supervised=supervised))
            request.node.stash.setdefault(LABS, []).append(service.lab)
            service.install()
            service.configure(**{**QUICK, **sections})
            if before:
                before(service)
            service.ctl("enable", "--now", "mhad")
            manager = Served(service)
            manager.wait_health("ok")
            return manager

        yield make


def since(service, *names):
    """The events of this test."""
    return [event for event in service.events(*names)
            if int(event["__REALTIME_TIMESTAMP"]) / 1e6 >= service.mark]


def no_alarm(service):
    found = since(service, *ALARMS)
    assert not found, [event["MESSAGE"] for event in found]


# Its life


def test_ready_when_all_is_loaded(calm):
    """Ready means: every file was read, though one took its time, and the socket answers for all of them."""
    second = calm.read("/etc/mhad/clusters.d/app1.yaml").replace("app1", "app2").replace(".1\n", ".201\n").replace(
        ".2\n", ".202\n").replace("password_file: /etc/mhad/mhad.password",
                                  'password_command: ["/bin/sh", "-c", "sleep 1.5; cat /etc/mhad/mhad.password"]')
    second = "\n".join(line for line in second.splitlines() if not line.startswith(("address", "  ip:", "  device:")))
    calm.write("clusters.d/app2.yaml", second + "\n")
    calm.system.drop_in("mhad.service", "ready", "[Service]\nExecStartPost=/bin/sh -c "
                        "'mhactl status --json >/var/lib/mhad/at-ready.json; true'\n")
    began = time.monotonic()
    calm.ctl("enable", "--now", "mhad")
    assert time.monotonic() - began >= 1.5
    assert calm.state() == "active"
    at_ready = json.loads(calm.read("/var/lib/mhad/at-ready.json"))
    assert [cluster["cluster"] for cluster in at_ready["clusters"]] == ["app1", "app2"]
    Served(calm).wait_health("ok")
    until(lambda: "2 clusters: 1 starting, 1 healthy" in calm.system.show("mhad", "StatusText"), PATIENCE, "the status")
    assert 'Status: "2 clusters: 1 starting, 1 healthy"' in calm.ctl("status", "mhad").stdout


def test_broken_configuration_at_the_start(calm):
    """All errors are in the journal, once each, and nothing is tried again that cannot go better."""
    good = calm.read("/etc/mhad/clusters.d/app1.yaml")
    calm.write("clusters.d/app1.yaml", good + "colour: blue\nfailover:\n  mode: sometimes\n")
    done = calm.ctl("start", "mhad", check=False)
    assert done.returncode != 0
    assert calm.system.show("mhad", "ActiveState", "ExecMainStatus", "NRestarts") == ["failed", "78", "0"]
    errors = [event["MESSAGE"] for event in since(calm, "config-rejected")]
    assert len(errors) == 2 and "app1.yaml:" in errors[0] and "colour" in errors[0] and "sometimes" in errors[1], errors
    calm.write("clusters.d/app1.yaml", good)
    calm.ctl("start", "mhad")
    Served(calm).wait_health("ok")


def test_program_that_fails_for_a_while(calm):
    """A password that cannot be had at the start ends nothing for good: it is tried until it can."""
    good = calm.read("/etc/mhad/clusters.d/app1.yaml")
    calm.write("clusters.d/app1.yaml", good.replace("password_file: /etc/mhad/mhad.password",
                                                    'password_command: ["/bin/cat", "/etc/mhad/vault"]'))
    assert calm.ctl("start", "mhad", check=False).returncode != 0
    until(lambda: int(calm.system.show("mhad", "NRestarts")) >= 2, PATIENCE, "further attempts")
    assert calm.system.show("mhad", "ExecMainStatus") in ("0", "1")
    calm.write("vault", calm.read("/etc/mhad/mhad.password"))
    until(lambda: calm.state() == "active", PATIENCE, "the start")
    Served(calm).wait_health("ok")
    errors = {event["MESSAGE"] for event in since(calm, "config-rejected")}
    assert len(errors) == 1 and "sql.password_command: /bin/cat ended with status 1" in errors.pop()


def test_reload(calm):
    """It returns when the new configuration is in force, or says that it is not, and why is in the journal."""
    calm.ctl("start", "mhad")
    pid = calm.pid()
    good = calm.read("/etc/mhad/clusters.d/app1.yaml")
    calm.write("clusters.d/app1.yaml", good + "failover:\n  mode: monitor\n")
    calm.ctl("reload", "mhad")
    assert Served(calm).status()["mode"] == "monitor"
    assert len(since(calm, "config-reloaded")) == 1
    calm.write("clusters.d/app1.yaml", good + "colour: blue\nfailover:\n  mode: sometimes\n")
    assert calm.ctl("reload", "mhad", check=False).returncode != 0
    assert calm.state() == "active" and calm.pid() == pid
    assert Served(calm).status()["mode"] == "monitor"
    rejected = [event["MESSAGE"] for event in since(calm, "config-rejected")]
    assert len(rejected) == 3 and "colour" in rejected[0] and "sometimes" in rejected[1], rejected
    assert "stays in force" in rejected[2]
    no_alarm(calm)


def test_reload_that_takes_its_time(calm):
    """Programs that give passwords hold up nothing: the watching goes on, and the watchdog is content."""
    calm.system.drop_in("mhad.service", "watchdog", "[Service]\nWatchdogSec=2s\n")
    calm.ctl("start", "mhad")
    manager = Served(calm)
    manager.wait_health("ok")
    text = calm.read("/etc/mhad/clusters.d/app1.yaml")
    for user in ("mhad", "repl"):
        text = text.replace(f"password_file: /etc/mhad/{user}.password",
                            f'password_command: ["/bin/sh", "-c", "sleep 2.5; cat /etc/mhad/{user}.password"]')
    calm.write("clusters.d/app1.yaml", text + "failover:\n  mode: monitor\n")
    began = time.monotonic()
    asked = 0
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        reload = pool.submit(calm.ctl, "reload", "mhad")
        while not reload.done():
            assert manager.status()["mode"] == "automatic" or time.monotonic() - began >= 5
            asked += 1
            time.sleep(0.2)
        reload.result()
    assert time.monotonic() - began >= 5 and asked >= 5
    assert manager.status()["mode"] == "monitor" and calm.system.show("mhad", "NRestarts") == "0"
    assert len(since(calm, "config-reloaded")) == 1
    no_alarm(calm)


def asked_meanwhile(service, seconds):
    """What mhactl says that is started now, when mhad is away for at least so long."""
    began = time.monotonic()
    done = service.host.run("mhactl", "status", "--json", check=False)
    assert done.returncode != NOT_FOUND, done.stderr
    assert time.monotonic() - began >= seconds, "mhad was not away"
    return json.loads(done.stdout)


def test_restart_while_healthy(calm):
    """Nobody is refused, nothing is forgotten, and nobody is alarmed: told to restart, or killed."""
    calm.system.drop_in("mhad.service", "slow", "[Service]\nExecStartPre=/bin/sleep 1.5\nRestartSec=1s\n")
    calm.ctl("start", "mhad")
    manager = Served(calm)
    manager.wait_health("ok")
    assert manager.order("pause", "app1", "--reason", "keep this").returncode == 0
    for number in range(2):
        pid = calm.pid()
        calm.ctl("restart", "--no-block", "mhad")
        until(lambda: calm.pid() in (0, pid) and calm.state() != "active", PATIENCE, "restarting")
        asked_meanwhile(calm, 0.5)
        calm.host.end("mhad", signal.SIGKILL if number else signal.SIGSEGV)
        assert asked_meanwhile(calm, 1)["clusters"][0]["paused"]["reason"] == "keep this"
    assert manager.order("resume", "app1").returncode == 0
    manager.wait_health("ok")
    assert calm.system.show("mhad", "NRestarts", "NFileDescriptorStore", "WatchdogUSec") == ["1", "1", "10s"]
    no_alarm(calm)
    calm.ctl("stop", "mhad")
    assert calm.host.run("mhactl", "status", check=False).returncode == NOT_FOUND
    assert calm.state() == "inactive"


def test_socket_unit(calm):
    """With mhad.socket whoever connects starts mhad, and waits for it."""
    calm.ctl("enable", "--now", "mhad.socket")
    assert calm.state() == "inactive"
    assert calm.host.run("mhactl", "status", "--json", check=False).returncode != NOT_FOUND
    assert calm.state() == "active"
    Served(calm).wait_health("ok")
    calm.ctl("restart", "mhad")
    assert calm.host.run("mhactl", "status", "--json", check=False).returncode != NOT_FOUND
    calm.ctl("stop", "mhad")
    assert os.path.exists(f"{calm.root()}/run/mhad/control")
    until(lambda: calm.host.run("mhactl", "status", "--json", check=False).returncode != NOT_FOUND, PATIENCE, "mhad")
    asks = [calm.host.run("mhactl", "version", check=False).returncode for _ in range(5)]
    assert asks == [0] * 5 and calm.system.show("mhad", "NRestarts") == "0"


def test_boot(calm):
    """Enabled, it comes up with the host, after the network is there."""
    calm.system.add_unit("wait-online.service", "[Unit]\nBefore=network-online.target\n[Service]\nType=oneshot\n"
                         "ExecStart=/bin/sleep 1\nRemainAfterExit=yes\n[Install]\nWantedBy=network-online.target\n")
    calm.ctl("enable", "wait-online", "mhad")
    calm.host.reboot()
    calm.ctl("disable", "wait-online")
    online = int(calm.system.show("network-online.target", "ActiveEnterTimestampMonotonic"))
    waited, began, status = calm.system.show("mhad", "ExecMainStartTimestampMonotonic", "ActiveEnterTimestampMonotonic",
                                             "ActiveState")
    assert status == "active" and int(began) >= int(waited) >= online > 0
    Served(calm).wait_health("ok")
    no_alarm(calm)


# Failovers


def preload(service, name, **environment):
    """Run mhad with a library of the tests: die-at, note-exec."""
    library = f"/usr/local/lib/lib{name}.so"
    shutil.copyfile(f"{BUILD}/test/integration/lib{name}.so", service.root() + library)
    words = "".join(f'Environment="{name}={value}"\n' for name, value in environment.items())
    service.system.drop_in("mhad.service", "preload", f"[Service]\nEnvironment=LD_PRELOAD={library}\n{words}")


def test_watchdog(served):
    """Hanging in the middle of a failover, it is killed and started again, and goes on."""

    def before(service):
        preload(service, "die-at", MHAD_DIE_AT="choose-candidate decided", MHAD_DIE_BY="hang")
        service.system.drop_in("mhad.service", "watchdog", "[Service]\nWatchdogSec=2s\n")

    manager = served(before=before)
    lab, service = manager.lab, manager.service
    with Writer(lab) as writer:
        lab["db1"].kill()
        until(lambda: service.system.show("mhad", "NRestarts") == "1", PATIENCE, "the watchdog", 0.1)
        assert "Watchdog timeout (limit 2s)!" in service.log()
        manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    assert len(service.events("run-resumed")) == 1 and len(service.events("run-started")) == 1
    assert service.state() == "active" and service.system.show("mhad", "NRestarts") == "1"


HOOK = """#!/bin/sh
# The first time it takes long.
cat >/dev/null
if [ -e /var/lib/mhad/hook-began ]; then exit 0; fi
touch /var/lib/mhad/hook-began
sleep 300
"""


def add_program(service, name, text):
    path = f"/usr/local/lib/{name}"
    with open(service.root() + path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(service.root() + path, 0o755)
    return path


def test_stopped_in_a_failover(served):
    """It ends at once, and so do its hooks; started again it goes on."""
    manager = served(before=lambda service: add_program(service, "mhad-hook", HOOK),
                     hooks={"stop": ["/usr/local/lib/mhad-hook"]})
    lab, service = manager.lab, manager.service
    with Writer(lab) as writer:
        lab["db1"].kill()
        until(lambda: os.path.exists(f"{lab.mhad_state}/hook-began"), PATIENCE, "the hook")
        began = time.monotonic()
        service.ctl("stop", "mhad")
        assert time.monotonic() - began < 8, "it waited for something"
        assert service.state() == "inactive" and not service.host.processes("sleep")
        service.ctl("start", "mhad")
        report = manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    assert rungs(report)["process"]
    assert len(service.events("run-resumed")) == 1 and len(service.events("run-started")) == 1


def fenced(manager, server):
    """Back, and harmless."""
    server.wait_ready(PATIENCE)
    manager.wait_event("fenced")
    until(lambda: not server.writable(), PATIENCE, "read-only")
    assert manager.lab.address not in server.host.addresses()


def test_primary_restarted_by_systemd(served):
    """Within the grace, nothing is done; after it systemd is kept from it, and who starts it by hand finds it fenced."""
    manager = served(("mgr", "db1"), supervised=200, detection={"restart_grace": "20s"}, fence={"command": None})
    lab, service, db1 = manager.lab, manager.service, manager.lab["db1"]
    with Writer(lab) as writer:
        db1.kill()
        manager.wait_event("suspect")
        manager.wait_event("suspicion-cleared")
        writer.wait_acknowledged(10, PATIENCE)
        manager.wait_health("ok")
        assert db1.host.system.show("mariadb", "NRestarts") == "1" and db1.writable()
        assert not service.events("run-started")
        db1.host.system.drop_in("mariadb.service", "late", "[Service]\nRestartSec=5s\n")
        service.configure(**QUICK, fence={"command": None})
        service.ctl("reload", "mhad")
        manager.wait_health("ok")
        db1.kill()
        report = manager.wait_run()
        assert rungs(report)["process"]
        writer.wait_elsewhere(PATIENCE)
        assert db1.host.system.show("mariadb", "ActiveState", "NRestarts") == ["inactive", "1"]
        db1.host.system.ctl("start", "mariadb")
        fenced(manager, db1)
        manager.well([writer])


def test_primary_that_systemd_brings_back(served):
    """Left alone, it comes back behind the new primary, and is fenced on sight."""
    manager = served(("mgr", "db1"), supervised=4000, fence={"command": None, "stop_process": False})
    lab, db1 = manager.lab, manager.lab["db1"]
    with Writer(lab) as writer:
        db1.kill()
        manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        until(db1.running, PATIENCE, "db1 is back")
        assert db1.host.system.show("mariadb", "NRestarts") == "1"
        fenced(manager, db1)
        manager.well([writer])


# The journal


def test_journal(served):
    """One record an event, with its fields, and an explanation of each."""
    manager = served()
    lab, service = manager.lab, manager.service
    service.host.run("journalctl", "--update-catalog")
    lab["db1"].kill()
    report = manager.wait_run()
    manager.wait_state("steady")
    done = service.host.run("journalctl", "-u", "mhad", "CLUSTER=app1", "-o", "json")
    records = [json.loads(line) for line in done.stdout.splitlines()]
    names = [record["EVENT"] for record in records]
    for name in ("primary-found", "cluster-state", "suspect", "dead", "run-started", "step-started", "step-done",
                 "report", "run-completed"):
        assert name in names, name
    for record in records:
        assert record["CLUSTER"] == "app1" and len(record["MESSAGE_ID"]) == 32 and record["PRIORITY"] in "234567"
        assert record["SYSLOG_IDENTIFIER"] == "mhad" and "\n" not in record["MESSAGE"]
        if record["EVENT"].startswith(("run-", "step-")):
            assert record["RUN"] == report["run"]
        assert record["EVENT"].startswith("step-") == ("STEP" in record)
    told = [(record["EVENT"], record["MESSAGE"]) for record in records]
    assert not [one for one, next_one in zip(told, told[1:]) if one == next_one], "an event was told twice"
    strangers = [line for line in service.log().splitlines() if " mhad[" not in line and " systemd[1]: " not in line]
    assert not strangers, strangers
    explained = service.host.run("journalctl", "-x", "-u", "mhad", "--no-pager", "_COMM=mhad").stdout
    entries = explained.count("Defined-By: mhad")
    assert entries == len([event for event in service.events() if event["EVENT"] != "debug"])
    assert "░░ Subject: A run is complete" in explained and "mhactl report app1" in explained


def test_silent_while_healthy(calm):
    """What is in order is not told: 600 rounds of each server and more, of which an hour has 3600 of the same. What has a longer
    period is in here, too: names are looked up anew and idle sessions ended after a minute; saved logs are looked through
    every hour, and before that 10 s after the start, by the same timer."""
    calm.configure(detection={"ping_interval": "100ms", "status_interval": "100ms"})
    calm.ctl("start", "mhad")
    manager = Served(calm)
    manager.wait_health("ok")
    until(lambda: calm.system.show("mhad", "SubState") == "running", PATIENCE, "running")
    time.sleep(1)
    before = calm.log()
    good = manager.server("db1")["last_good"]
    end = time.monotonic() + SILENCE
    while time.monotonic() < end:
        time.sleep(5)
        for verb in ("status", "check", "history", "events"):
            calm.host.run("mhactl", verb, check=False)
    assert calm.log() == before, calm.log()[len(before):]
    assert manager.server("db1")["last_good"] - good >= (SILENCE - 5) * 1e6, "it has not watched"


# Security


def test_hardening(calm, record_property):
    """What the service may do, as systemd judges it and as the kernel has it; the metrics are to be had all the same."""
    calm.write("mhad.yaml", calm.read("/etc/mhad/mhad.yaml") + "metrics:\n  listen: 127.0.0.1:9104\n")
    for verb in ("start", "restart"):
        calm.ctl(verb, "mhad")
        assert "mhad_build_info" in calm.host.run("/usr/bin/python3", "-c", "import urllib.request as web\nprint("
                                                  "web.urlopen('http://127.0.0.1:9104/metrics').read().decode())").stdout
    Served(calm).wait_health("ok")
    said = calm.host.run("systemd-analyze", "security", "--no-pager", "mhad").stdout.splitlines()[-1]
    record_property("told", said.strip())
    assert float(said.split(":")[1].split()[0]) <= EXPOSURE_MOST
    process, = calm.host.processes("mhad")
    words = dict(line.split(":\t", 1) for line in proc(process, "status").splitlines() if ":\t" in line)
    uid, gid = calm.owner()
    assert uid and gid and words["Uid"].split() == [str(uid)] * 4 and words["Gid"].split() == [str(gid)] * 4
    assert {name: int(words[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")} == dict.fromkeys(
        ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"), 0)
    assert words["NoNewPrivs"] == "1" and words["Seccomp"] == "2"
    core = next(line for line in proc(process, "limits").splitlines() if line.startswith("Max core file size"))
    assert core.split()[4:6] == ["0", "0"]
    assert os.stat(f"/proc/{process.pid}/environ").st_uid == 0, "its memory can be read by other processes of its user"
    as_mhad = ("setpriv", "--reuid", str(uid), "--regid", str(gid), "--clear-groups")
    inside = calm.pid()
    for name in ("environ", "mem", "maps"):
        assert calm.host.run(*as_mhad, "cat", f"/proc/{inside}/{name}", check=False).returncode != 0, name
    calm.system.drop_in("mhad.service", "stay", "[Service]\nRestart=no\n")
    process.signal(signal.SIGSEGV)
    until(lambda: calm.state() == "failed", PATIENCE, "the end")
    assert calm.system.show("mhad", "Result") == "signal", "it left a core file"


def proc(process, name):
    with open(f"/proc/{process.pid}/{name}", encoding="utf-8", errors="replace") as file:
        return file.read()


def test_credentials(calm):
    """Passwords that only root can read, given to mhad by systemd; also after a reload."""
    lines = []
    for user in ("mhad", "repl"):
        path = f"{calm.root()}/etc/{user}.secret"
        with open(path, "w", encoding="utf-8") as file:
            file.write(f"{user}-pw\n")
        os.chmod(path, 0o600)
        os.unlink(f"{calm.root()}/etc/mhad/{user}.password")
        lines.append(f"LoadCredential={user}-password:/etc/{user}.secret\n")
    calm.system.drop_in("mhad.service", "credentials", "[Service]\n" + "".join(lines))
    text = calm.read("/etc/mhad/clusters.d/app1.yaml")
    for user in ("mhad", "repl"):
        text = text.replace(f"password_file: /etc/mhad/{user}.password", f"password_credential: {user}-password")
    calm.write("clusters.d/app1.yaml", text)
    calm.ctl("start", "mhad")
    Served(calm).wait_health("ok")
    calm.write("clusters.d/app1.yaml", text + "failover:\n  mode: monitor\n")
    calm.ctl("reload", "mhad")
    assert Served(calm).status()["mode"] == "monitor"
    Served(calm).wait_health("ok")
    done = Served(calm).order("check", "config")
    assert done.returncode == 0, done.stdout + done.stderr
    no_alarm(calm)


WHAT_HOOKS_MAY = """#!/bin/bash
# Notes what it can do.
cat >/dev/null
may() { if "$@" >/dev/null 2>&1; then echo "$what yes"; else echo "$what no"; fi; }
{
what=tmp; may touch /tmp/a-hook
what=state; may touch /var/lib/mhad/a-hook
what=system; may touch /etc/mhad/a-hook
what=setuid; may test "$(/usr/local/bin/id-of-root -u)" = 0
what=ssh; may ssh -F /dev/null -i /etc/mhad/id_ed25519 -o BatchMode=yes -o UserKnownHostsFile=/etc/mhad/known_hosts \\
    root@$1 true
what=perl; may perl -MSocket -e 'socket(S, PF_INET, SOCK_STREAM, 0) or die;
    connect(S, sockaddr_in(3306, inet_aton($ARGV[0]))) or die' $1
} >/var/lib/mhad/hook-may
"""


def test_what_hooks_may(served):
    """In the sandbox they reach the network and write to their own; the drop-in gives them the rest."""

    def before(service):
        add_program(service, "what-hooks-may", WHAT_HOOKS_MAY)
        program = f"{service.root()}/usr/local/bin/id-of-root"
        shutil.copyfile("/usr/bin/id", program)
        os.chmod(program, 0o4755)

    manager = served(before=before)
    lab, service = manager.lab, manager.service
    service.configure(**QUICK, hooks={"report": ["/usr/local/lib/what-hooks-may", lab["db2"].ip]})
    service.ctl("reload", "mhad")
    manager.wait_health("ok")
    noted = f"{lab.mhad_state}/hook-may"

    def after_switch():
        assert manager.order("switch", "app1", "--yes").returncode == 0
        until(lambda: os.path.exists(noted) and service.read("/var/lib/mhad/hook-may").count("\n") == 6, PATIENCE,
              "the hook")
        return dict(line.split() for line in service.read("/var/lib/mhad/hook-may").splitlines())

    assert after_switch() == {"tmp": "yes", "state": "yes", "system": "no", "setuid": "no", "ssh": "yes", "perl": "yes"}
    os.unlink(noted)
    with open(f"{service.root()}/usr/share/doc/mhad/examples/hooks-with-privileges.conf", encoding="utf-8") as file:
        service.system.drop_in("mhad.service", "hooks", file.read())
    service.ctl("restart", "mhad")
    manager.wait_health("ok")
    assert after_switch()["setuid"] == "yes"


class Spy(threading.Thread):
    """Reads the arguments and the environment of every process of some hosts, all the time."""

    def __init__(self, hosts):
        super().__init__(daemon=True)
        self.hosts = hosts
        self.seen = set()
        self.over = threading.Event()

    def run(self):
        while not self.over.is_set():
            for host in self.hosts:
                for process in host.processes():
                    self.look(process)

    def look(self, process):
        for name in ("cmdline", "environ"):
            with contextlib.suppress(OSError):
                with open(f"/proc/{process.pid}/{name}", "rb") as file:
                    self.seen.add((name, file.read()))

    def stop(self):
        self.over.set()
        self.join()
        return self.seen


SECRETS = {"sql": "planted-sql-6c8e1f", "repl": "planted-repl-90b7aa", "wrong": "planted-wrong-1d2c3b",
           "inline": "planted-inline-77e0f4"}


def test_no_secret_anywhere(served):
    """Planted passwords stand in no argument, environment, record, answer or error, whatever goes well or wrong."""
    manager = served(before=lambda service: preload(service, "note-exec", MHAD_NOTE_EXEC="/var/lib/mhad/executed"))
    lab, service = manager.lab, manager.service
    lab["db1"].sql(f"ALTER USER 'mhad'@'%' IDENTIFIED BY '{SECRETS['sql']}'",
                   f"CREATE USER 'repl2'@'%' IDENTIFIED BY '{SECRETS['repl']}'",
                   "GRANT REPLICATION SLAVE ON *.* TO 'repl2'@'%'")
    add_program(service, "note-all", "#!/bin/sh\n{ cat; env; } >>/var/lib/mhad/noted\n")
    told = []

    def ask(*words):
        done = service.host.run("mhactl", *words, check=False, timeout=PATIENCE)
        told.append(done.stdout + done.stderr)

    def ask_all():
        for words in (("status",), ("check",), ("check", "ssh"), ("check", "replication"), ("check", "failover"),
                      ("check", "config"), ("plan", "failover", "app1"), ("plan", "switch", "app1"), ("events",),
                      ("history",), ("report", "app1"), ("reload",)):
            ask(*words)
            ask(*words, "--json")

    service.configure(**QUICK, replication={"user": "repl2"}, daemon={"log_level": "debug"},
                      hooks={name: ["/usr/local/lib/note-all", name] for name in ("stop", "start", "report")})
    service.write("mhad.password", SECRETS["sql"])
    service.write("repl.password", SECRETS["repl"])
    cluster = service.read("/etc/mhad/clusters.d/app1.yaml")
    service.write("clusters.d/app1.yaml", cluster.replace(
        "password_file: /etc/mhad/repl.password", 'password_command: ["/bin/cat", "/etc/mhad/repl.password"]'))
    spy = Spy([host for host in lab.hosts.values() if host.name != "client"])
    spy.start()
    try:
        service.ctl("restart", "mhad")
        manager.wait_health("ok")
        assert manager.order("switch", "app1", "--yes").returncode == 0
        manager.wait_health("ok")
        ask_all()
        new, = [server for server in lab.servers if server.writable()]
        first = manager.report()["run"]
        new.kill()
        manager.wait_run(after=first)
        ask_all()
        service.write("mhad.password", SECRETS["wrong"])
        service.ctl("reload", "mhad")
        manager.wait(lambda status: any(server.get("evidence") == "error" for server in status["servers"]), "denied")
        ask_all()
        service.write("clusters.d/app9.yaml", "cluster: app9\nservers:\n  - { name: a, host: 127.0.0.1 }\n"
                      f"sql:\n  user: [{SECRETS['inline']}]\n  password: [\"{SECRETS['inline']}\"]\n"
                      f"replication: {{ user: x, password: {{ a: {SECRETS['inline']} }}, "
                      f"pasword: {SECRETS['inline']} }}\n")
        assert service.ctl("reload", "mhad", check=False).returncode != 0
        ask_all()
        checked = service.host.run("mhad", "--check-config", check=False)
        assert checked.returncode == 1
        told.append(checked.stdout + checked.stderr)
    finally:
        seen = spy.stop()
    assert any("1 cluster(s), no errors" in text for text in told), "check config, by the daemon"
    assert any("unknown key" in text and '"config_error"' in text for text in told), "the same, of what is wrong"
    assert any(b"mhad" in text for name, text in seen if name == "cmdline")
    assert any(b"NOTIFY_SOCKET" in text for name, text in seen if name == "environ")
    assert "switch" in service.read("/var/lib/mhad/noted")
    executed = service.read("/var/lib/mhad/executed")
    assert all(f"/usr/local/lib/note-all\n{name}\n" in executed for name in ("stop", "start", "report"))
    assert "/bin/cat\n/etc/mhad/repl.password\n" in executed
    places = {name: repr(sorted(text for kind, text in seen if kind == name)) for name in ("cmdline", "environ")}
    places["answers"] = "\n".join(told)
    places["journal"] = service.system.journal("-o", "export", "--all")
    assert "denied" in places["answers"].lower() and "EVENT=debug" in places["journal"]
    for place, _, names in os.walk(lab.mhad_state):
        for name in names:
            with open(f"{place}/{name}", encoding="utf-8", errors="replace") as file:
                places[f"{place}/{name}"] = file.read()
    for place, text in places.items():
        for secret in (*SECRETS.values(), "OPENSSH PRIVATE KEY"):
            at = text.find(secret)
            assert at < 0, f"{secret} in {place}: {text[max(0, at - 200):at + 100]}"


def in_memory(process, secrets):
    """How often each is in the memory of a process."""
    memory = b""
    with open(f"/proc/{process.pid}/maps", encoding="utf-8") as maps, open(f"/proc/{process.pid}/mem", "rb") as file:
        for line in maps:
            place, rights = line.split()[:2]
            if "r" in rights and "[v" not in line:
                first, end = (int(word, 16) for word in place.split("-"))
                file.seek(first)
                memory += file.read(end - first)
    return [memory.count(secret if isinstance(secret, bytes) else secret.encode()) for secret in secrets]


def of_private_key(path):
    """A piece of its text, and the secret in it as it is used."""
    with open(path, encoding="ascii") as file:
        text = "".join(file.read().splitlines()[1:-1])
    key = base64.b64decode(text)
    secret = key.rindex(b"ssh-ed25519") + 11 + 4 + 32 + 4
    place = (secret // 3 + 2) * 4
    return text[place:place + 24], key[secret:secret + 32]


def test_secrets_are_wiped(calm):
    """What mhad no longer needs is in its memory no longer, wherever it had it from."""
    secrets = [SECRETS[name] for name in ("sql", "repl")]
    calm.lab["db1"].sql(f"CREATE USER 'mhad2'@'%' IDENTIFIED BY '{secrets[0]}'",
                        "GRANT ALL PRIVILEGES ON *.* TO 'mhad2'@'%'")
    text = calm.read("/etc/mhad/clusters.d/app1.yaml").replace("user: mhad\n", "user: mhad2\n").replace(
        "password_file: /etc/mhad/mhad.password", f"password: {secrets[0]}")
    ways = ("password_file: /etc/mhad/repl.password", 'password_command: ["/bin/cat", "/etc/mhad/repl.password"]')
    calm.write("repl.password", secrets[1])
    calm.ctl("start", "mhad")
    process, = calm.host.processes("mhad")
    key_text, key = of_private_key(f"{calm.root()}/etc/mhad/id_ed25519")
    for way in ways:
        calm.write("clusters.d/app1.yaml", text.replace(ways[0], way))
        calm.ctl("reload", "mhad")
        Served(calm).wait_health("ok")
        assert all(in_memory(process, [*secrets, key])) and in_memory(process, [key_text]) == [0]
        calm.write("clusters.d/app1.yaml", text.replace(ways[0], way) + "colour: blue\n")
        assert calm.ctl("reload", "mhad", check=False).returncode != 0
        os.unlink(f"{calm.root()}/etc/mhad/clusters.d/app1.yaml")
        calm.ctl("reload", "mhad")
        until(lambda: not any(in_memory(process, [*secrets, key, key_text])), 5,
              f"wiping: {in_memory(process, [*secrets, key, key_text])} copies")
    assert process.alive()


# Packages


def lint(packages, temporary):
    """No error by lintian, which nobody but CI must have, and which does not remove all that it makes."""
    if not shutil.which("lintian"):
        assert os.environ.get("CI") != "true", "lintian is not installed"
        return
    done = run(["lintian", "--allow-root", "--fail-on", "error", *packages], check=False,
               env={**os.environ, "TMPDIR": temporary})
    assert done.returncode == 0, done.stdout + done.stderr


def test_package():
    """Installed it does what it is for; installed again it loses nothing; purged it leaves only what it has found out."""
    with booted(replicas=1) as service:
        lab, host = service.lab, service.host
        run([f"{REPOSITORY}/units/package", BUILD, f"{lab.folder}/packages"], timeout=120)
        packages = sorted(glob.glob(f"{lab.folder}/packages/*.deb"))
        assert [os.path.basename(path).split("_")[0] for path in packages] == ["mhactl", "mhad"]
        lint(packages, lab.folder)

        def dpkg(*arguments):
            host.run("dpkg", "--no-triggers", *arguments, timeout=PATIENCE)

        dpkg("--install", *packages)
        assert host.run("systemctl", "is-enabled", "mhad", check=False).stdout == "disabled\n"
        assert service.state() == "inactive"
        assert host.run("stat", "-c", "%a %U %G", "/etc/mhad").stdout == "750 root mhad\n"
        service.configure(**QUICK)
        service.ctl("enable", "--now", "mhad")
        manager = Served(service)
        manager.wait_health("ok")
        mine = service.read("/etc/mhad/mhad.yaml")
        pid = service.pid()
        service.mark = time.time()
        dpkg("--install", *packages)
        until(lambda: service.state() == "active" and service.pid() != pid, PATIENCE, "the restart")
        manager.wait_health("ok")
        no_alarm(service)
        assert service.read("/etc/mhad/mhad.yaml") == mine
        with Writer(lab) as writer:
            lab["db1"].kill()
            manager.wait_run()
            writer.wait_elsewhere(PATIENCE)
            manager.well([writer])
        dpkg("--purge", "mhad", "mhactl")
        assert not host.processes("mhad") and os.path.exists(f"{lab.mhad_state}/app1/journal")
        assert not os.path.exists(f"{service.root()}/etc/mhad/mhad.yaml")
        assert host.run("systemctl", "cat", "mhad", check=False).returncode != 0
