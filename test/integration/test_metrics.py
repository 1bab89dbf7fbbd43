"""What monitoring is told: by mhactl and by HTTP, as Prometheus wants it, and true."""

import contextlib
import os
import re
import subprocess
import time

import pytest

from labkit import Unavailable
from labkit.flavours import fetch_promtool
from labkit.host import REPOSITORY
from labkit.process import run, until
from manager import PATIENCE, Manager

ADDRESS = "127.0.0.1:9104"
ONE_SECOND = {"ping_interval": "1s", "status_interval": "1s", "restart_grace": "100ms"}
GET = f"""
import sys, urllib.request
sys.stdout.write(urllib.request.urlopen("http://{ADDRESS}/metrics", timeout=10).read().decode())
"""
# One that has the address, until its standard input ends.
TAKE = """
import socket, sys
taken = socket.create_server(("127.0.0.1", 9104))
print(flush=True)
sys.stdin.read()
"""
# Half of them say nothing, half a piece of a request every now and then, one nonsense.
BOTHER = """
import socket, sys, threading
joined = [socket.create_connection(("127.0.0.1", 9104), 20) for _ in range(200)]
joined[0].sendall(b"\\x16\\x03 nonsense\\r\\n\\r\\n")
stop = threading.Event()

def trickle():
    for byte in b"GET /metrics HTTP/1.1\\r\\nHost: a\\r\\nX: " + 10000 * b"x":
        for one in joined[1::2]:
            try:
                one.send(bytes([byte]))
            except OSError:
                pass
        if stop.wait(0.05):
            return

thread = threading.Thread(target=trickle)
thread.start()
print(flush=True)
sys.stdin.read()
stop.set()
thread.join()
"""


@pytest.fixture(scope="module")
def promtool():
    try:
        return fetch_promtool()
    except Unavailable as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"NO PROMTOOL: {error}")


class Metrics:
    """The samples of one text, by name and labels."""

    def __init__(self, text):
        self.text = text
        self.samples = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
                        for line in text.splitlines() if line and line[0] != "#"}

    def get(self, name, **labels):
        words = ",".join(f'{label}="{value}"' for label, value in labels.items())
        return self.samples.get(f"mhad_{name}{{{words}}}")

    def server(self, name, server, **labels):
        return self.get(f"server_{name}", cluster="app1", server=server, **labels)

    def cluster(self, name, **labels):
        return self.get(f"cluster_{name}", cluster="app1", **labels)

    def chosen(self, name, label, **labels):
        """The words of a list that hold."""
        start = ",".join(f'{key}="{value}"' for key, value in labels.items())
        pattern = re.compile(rf'mhad_{name}{{{re.escape(start)},(?:procedure="\w+",)?{label}="(\w+)"}}$')
        found = [(pattern.match(series), value) for series, value in self.samples.items()]
        assert all(value in (0, 1) for match, value in found if match)
        return [match[1] for match, value in found if match and value]

    def late_ticks(self):
        return sum(value for series, value in self.samples.items() if series.startswith("mhad_server_late_ticks_total"))


def printed(manager):
    done = manager.order("metrics")
    assert done.returncode == 0, done.stderr
    return Metrics(done.stdout)


def fetched(manager):
    return Metrics(manager.lab.mgr.run("/usr/bin/python3", "-c", GET).stdout)


def wait(manager, condition, what):
    return until(lambda: (metrics := printed(manager)) and condition(metrics) and metrics, PATIENCE, what, 0.2)


@contextlib.contextmanager
def beside(manager, script):
    """A program in the host of mhad that is at work inside the block."""
    with manager.lab.mgr.popen(["/usr/bin/python3", "-c", script], stdin=subprocess.PIPE,
                               stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"\n"
        yield
        process.stdin.close()
        assert process.wait(20) == 0


def same_but_figures(text):
    return re.sub(r" [-+.e\d]+$", "", text, flags=re.MULTILINE)


def listen(manager):
    """An address that is taken is told and is no reason to end; the next reload tries again."""
    with open(manager.lab.mhad_yaml, "a", encoding="utf-8") as file:
        file.write(f"metrics:\n  listen: {ADDRESS}\n")
    with beside(manager, TAKE):
        assert manager.order("reload").returncode == 0
        text = until(lambda: [line for line in manager.lab.mhad_log_tail().splitlines() if ADDRESS in line], PATIENCE,
                     "the warning")[-1]
        assert "Address already in use" in text and "mhactl reload" in text
        assert manager.status()["health"] == "ok"
    assert manager.order("reload").returncode == 0
    until(lambda: manager.lab.mgr.run("/usr/bin/python3", "-c", GET, check=False).returncode == 0, PATIENCE, "HTTP")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_calm(lab, promtool):
    """Names and units that Prometheus likes, the same by HTTP; what an operator does shows; nobody disturbs the watching."""
    manager = Manager.start(lab, detection=ONE_SECOND)
    metrics = printed(manager)
    done = run([promtool, "check", "metrics"], input=metrics.text, timeout=60)
    assert done.stdout == "" and done.stderr == ""
    run([promtool, "check", "rules", f"{REPOSITORY}/etc/mhad.rules.yaml"], timeout=60)
    assert metrics.chosen("cluster_state", "state", cluster="app1") == ["steady"]
    assert {name: metrics.chosen("server_role", "role", cluster="app1", server=name) for name in ("db1", "db2", "db3")} == {
        "db1": ["primary"], "db2": ["replica"], "db3": ["replica"]}
    assert metrics.cluster("failover_ready") == 1 and metrics.cluster("paused") == 0
    assert metrics.server("replication_lag_seconds", "db1") is None
    assert metrics.server("replication_lag_seconds", "db3") == 0
    assert metrics.server("last_good_ping_age_seconds", "db1") < PATIENCE
    assert metrics.server("ping_duration_seconds_count", "db1") >= 1
    assert metrics.samples["process_resident_memory_bytes"] > 1e6 and metrics.samples["process_open_fds"] > 5
    assert abs(metrics.samples["process_start_time_seconds"] - time.time()) < 10 * PATIENCE

    listen(manager)
    time.sleep(1.2)  # what was gathered before is no longer good
    assert same_but_figures(fetched(manager).text) == same_but_figures(printed(manager).text)

    lab["db3"].delay(600)
    lab["db1"].sql("CREATE TABLE app.metrics (id INT PRIMARY KEY)")
    lagging = wait(manager, lambda now: (now.server("replication_lag_seconds", "db3") or 0) >= 2, "lag")
    assert lagging.server("replication_lag_seconds", "db2") < 2 and lagging.cluster("problems") >= 1
    lab["db3"].delay(0)
    wait(manager, lambda now: now.server("replication_lag_seconds", "db3") == 0, "no lag")
    for order, undo, is_so in (
            (("pause", "app1"), ("resume", "app1"),
             lambda now: now.cluster("paused") == 1 and now.cluster("failover_ready") == 0),
            (("server", "down", "app1", "db3"), ("server", "up", "app1", "db3"),
             lambda now: now.server("taken_out", "db3") == 1 and now.server("taken_out", "db2") == 0)):
        assert manager.order(*order).returncode == 0
        wait(manager, is_so, order)
        assert manager.order(*undo).returncode == 0
    wait(manager, lambda now: now.cluster("failover_ready") == 1, "ready again")

    time.sleep(1.2)
    before = fetched(manager)
    with beside(manager, BOTHER):
        for _ in range(3):
            time.sleep(1.2)
            after = fetched(manager)
    assert after.server("ping_duration_seconds_count", "db1") > before.server("ping_duration_seconds_count", "db1")
    assert after.late_ticks() == before.late_ticks(), "watching was disturbed"
    assert not manager.events("stall")


@pytest.mark.flavours("mariadb")
@pytest.mark.modes("gtid")
def test_failover(lab):
    """The times of the last failover are those of its report, over a restart, too."""
    manager = Manager.start(lab)
    assert "last_run" not in printed(manager).text
    lab["db1"].kill()
    report = manager.wait_run()
    times = report["times"]
    metrics = wait(manager, lambda now: now.cluster("last_run_end_timestamp_seconds", procedure="failover"), "the run")
    assert metrics.chosen("cluster_last_run_outcome", "outcome", cluster="app1") == ["completed"]
    for phase, start, end in (("unnoticed", "last_good", "suspected"), ("verdict", "suspected", "verdict"),
                              ("open", "started", "opened"), ("address", "opened", "address"),
                              ("afterwards", "opened", "ended"), ("run", "started", "ended")):
        value = metrics.cluster("last_run_phase_seconds", procedure="failover", phase=phase)
        assert value == pytest.approx((times[end] - times[start]) / 1e6, abs=1e-6), phase
    assert metrics.server("up", "db1") == 0 and metrics.server("up", report["new_primary"]) == 1
    assert metrics.chosen("server_role", "role", cluster="app1", server=report["new_primary"]) == ["primary"]
    assert metrics.cluster("failover_ready") == 0, "the next would be held"
    age = metrics.server("last_good_ping_age_seconds", "db1")
    wait(manager, lambda now: now.server("last_good_ping_age_seconds", "db1") > age + 1, "silence grows")
    kept = [line for line in metrics.text.splitlines() if "last_run" in line]
    assert lab.stop_mhad() == 0
    lab.start_mhad()
    manager.wait_state("steady")
    assert [line for line in printed(manager).text.splitlines() if "last_run" in line] == kept
    assert manager.order("acknowledge", "app1").returncode == 0
    wait(manager, lambda now: now.cluster("failover_ready") == 1, "ready for the next")
    manager.well()
    assert manager.order("switch", "app1", "--yes").returncode != 0, "db1 would be left behind"
    metrics = wait(manager, lambda now: now.cluster("last_run_end_timestamp_seconds", procedure="switchover"), "the run")
    assert metrics.chosen("cluster_last_run_outcome", "outcome", cluster="app1") == ["aborted"]
    assert 'procedure="failover"' not in metrics.text and 'phase="verdict"' not in metrics.text, "of the run before"
    assert "new_primary" not in manager.status()["last_run"]
