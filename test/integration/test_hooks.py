"""The operator's own programs: told in order, with JSON, without secrets, and never waited for too long."""

import json
import os
import stat
import threading

import pytest

from labkit import Writer, invariants
from labkit.mhad import merged
from labkit.process import until
from manager import PATIENCE, QUICK, SECRETS, Manager, rungs, steps

pytestmark = [pytest.mark.flavours("mariadb"), pytest.mark.modes("gtid")]

HOOK = """\
#!/bin/sh
# Notes what it was told, then does what stands in the file of its name.
input=$(cat)
{{ echo "$1"; printf '%s\\n' "$input"; env | tr '\\n' ' '; echo; }} >>{folder}/hooks.log
if [ -e {folder}/hook-$1 ]; then . {folder}/hook-$1; fi
"""


class Hooks:
    """Hooks that note what they are told; does: shell words by the name of a hook."""

    def __init__(self, lab, *names, **does):
        self.folder = lab.mgr.folder
        self.log = f"{self.folder}/hooks.log"
        path = f"{self.folder}/hook"
        with open(path, "w", encoding="utf-8") as file:
            file.write(HOOK.format(folder=self.folder))
        os.chmod(path, stat.S_IRWXU)
        for name, words in does.items():
            with open(f"{self.folder}/hook-{name}", "w", encoding="utf-8") as file:
                file.write(words + "\n")
        self.config = {name: [path, name] for name in (*names, *does)}

    def told(self):
        """What each was told, in order."""
        if not os.path.exists(self.log):
            return []
        with open(self.log, encoding="utf-8") as file:
            lines = file.read().split("\n")[:-1]  # complete ones; one may be under way
        assert not any(secret in line for line in lines for secret in SECRETS)
        return [(name, json.loads(text)) for name, text in zip(lines[::3], lines[1::3]) if text.endswith("}")]

    def names(self):
        """In order; of an abort also what it takes back."""
        return [f"{name} {told['undoes']}" if "undoes" in told else name for name, told in self.told()]


def test_in_order(lab):
    hooks = Hooks(lab, "prepare", "stop", "start", "report")
    manager = Manager.start(lab, hooks=hooks.config)
    with Writer(lab) as writer:
        lab["db1"].kill()
        report = manager.wait_run()
        until(lambda: "report" in hooks.names(), PATIENCE, "the report hook")
        writer.wait_elsewhere(PATIENCE)
        primary = manager.well([writer])
    assert hooks.names() == ["prepare", "stop", "start", "report"]
    told = dict(hooks.told())
    for name in ("prepare", "stop", "start"):
        assert told[name]["hook"] == name and told[name]["cluster"] == "app1" and told[name]["run"] == report["run"]
        assert told[name]["old_primary"] == {"name": "db1", "host": lab["db1"].ip, "port": 3306,
                                             "ssh_host": lab["db1"].ip, "ssh_port": 22, "ssh_user": "root"}
    assert told["start"]["new_primary"]["name"] == primary.name
    assert told["report"]["outcome"] == "completed" and told["report"]["text"] == report["text"]


def test_prepare_refuses(lab):
    """Nothing is touched, and it is tried again; in the end the primary is back."""
    hooks = Hooks(lab, "start", "report", prepare="echo 'not today' >&2; exit 7")
    manager = Manager.start(lab, hooks=hooks.config)
    with Writer(lab) as writer:
        lab["db1"].kill()
        report = manager.wait_run("aborted")
        assert "not today" in report["text"] and "fence-process" not in {
            name for name, step in steps(report).items() if step["state"] == "done"}
        assert not lab["db2"].writable() and lab["db2"].status()["io"] == "Connecting"
        assert lab.address in lab["db1"].host.addresses()
        manager.wait(lambda status: status["last_run"]["run"] != report["run"], "another attempt")
        lab["db1"].start()
        manager.wait_health("ok")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
    assert invariants(lab, writers=[writer]) is lab.primary
    assert "start" not in hooks.names()


def test_stop_refuses(lab):
    """What was done until then is undone: receivers and the address."""
    hooks = Hooks(lab, "report", stop="exit 1")
    manager = Manager.start(lab, hooks=hooks.config)
    with Writer(lab) as writer:
        lab["db1"].kill()
        manager.wait_run("aborted")
        assert not lab["db2"].writable()
        lab["db1"].start()
        manager.wait_health("ok")
        for replica in lab.replicas:
            until(replica.replicating, PATIENCE, f"{replica.name} follows")
        until(lambda: lab.address in lab["db1"].host.addresses(), PATIENCE, "the address")
        writer.wait_acknowledged(10, PATIENCE)
        writer.stop()
    assert invariants(lab, writers=[writer]) is lab.primary


@pytest.mark.parametrize("name, outcome", [("prepare", "aborted"), ("start", "completed")])
def test_hangs(lab, name, outcome):
    """It is ended at its deadline, with what it has started."""
    hooks = Hooks(lab, **{name: "trap '' TERM; sleep 4711; sleep 4711"})
    manager = Manager.start(lab, hooks=hooks.config | {"timeout": "1s"})
    lab["db1"].kill()
    report = manager.wait_run(outcome)
    assert any(words in report["text"] for words in ("did not end", "timed out", "within")), report["text"]
    until(lambda: not [process for process in lab.mgr.processes("hook")], PATIENCE, "the end of the hook")
    if outcome == "completed":
        manager.well()


def test_shutdown_is_a_fence(lab):
    """The host cannot be reached by SSH, but its power can be cut: that is enough, also where a fence is required."""
    hooks = Hooks(lab, shutdown="exit 0")
    manager = Manager.start(lab, hooks=hooks.config, fence={"policy": "required", "timeout": "1s"})
    with Writer(lab) as writer:
        lab["db1"].host.cut()
        report = manager.wait_run()
        writer.wait_elsewhere(PATIENCE)
        manager.well([writer])
    assert rungs(report) == {"address": False, "process": False, "power": True, "witnesses": True}
    assert "NOT FENCED" not in report["text"]


def test_shutdown_fails(lab):
    hooks = Hooks(lab, shutdown="exit 1")
    manager = Manager.start(lab, hooks=hooks.config, fence={"policy": "required", "timeout": "1s"})
    lab["db1"].host.cut()
    report = manager.wait_run("aborted")
    assert not report.get("new_primary") and not lab["db2"].writable()


def test_shutdown_is_not_needed(lab):
    """The process was stopped: its host stays on."""
    hooks = Hooks(lab, shutdown="exit 0")
    manager = Manager.start(lab, hooks=hooks.config)
    lab["db1"].kill()
    manager.wait_run()
    manager.well()
    assert hooks.names() == []


def test_report_fails(lab):
    """The failover is complete all the same."""
    hooks = Hooks(lab, report="exit 3")
    manager = Manager.start(lab, hooks=hooks.config)
    lab["db1"].kill()
    manager.wait_run()
    manager.wait_event("warning")
    manager.well()


def test_missing_program(lab):
    """One that is not there fails, and the rest goes on as it does for one that fails."""
    hooks = Hooks(lab, "start")
    manager = Manager.start(lab, hooks=hooks.config)
    os.unlink(f"{hooks.folder}/hook")
    lab["db1"].kill()
    report = manager.wait_run()
    assert steps(report)["start-hook"]["state"] == "failed", report["text"]
    manager.well()


# In a switchover


def start(lab, hooks, timeout="30s", **sections):
    return Manager.start(lab, hooks=hooks.config | {"timeout": timeout},
                         **merged({"switchover": {"max_write_block": "30s"}}, sections))


def switch(manager, status=0):
    done = manager.order("switch", "app1", "--yes", "--to", "db2")
    assert done.returncode == status, done.stdout + done.stderr + manager.lab.mhad_log_tail()
    return manager.report()


def as_before(manager, writer):
    """db1 is the primary, takes writes and has the address."""
    lab = manager.lab
    manager.wait_health("ok")
    assert manager.status()["primary"] == "db1" and lab["db1"].writable() and not lab["db2"].writable()
    assert [server.name for server in lab.servers if lab.address in server.host.addresses()] == ["db1"]
    writer.wait_acknowledged(10, PATIENCE)


def test_switchover_in_order(lab):
    hooks = Hooks(lab, "prepare", "stop", "start", "shutdown", "abort", "report")
    manager = start(lab, hooks)
    report = switch(manager)
    until(lambda: "report" in hooks.names(), PATIENCE, "the report hook")
    assert hooks.names() == ["prepare", "stop", "start", "report"]
    for name, told in hooks.told()[:3]:
        assert list(told) == ["hook", "cluster", "run", "procedure", "old_primary", "new_primary"], name
        assert (told["hook"], told["run"], told["procedure"]) == (name, report["run"], "switchover")
        assert (told["old_primary"]["name"], told["new_primary"]["name"]) == ("db1", "db2")


def test_switchover_status(lab):
    """The status hook is one of the checks: one that refuses is told beside what else is wrong, and none of them is run."""
    hooks = Hooks(lab, "prepare", "stop", "start", "abort", status="exit 0")
    manager = start(lab, hooks)
    done = manager.order("switch", "app1", "--check")
    assert done.returncode == 0 and "the hooks would work" in done.stdout, done.stdout
    with open(f"{hooks.folder}/hook-status", "w", encoding="utf-8") as file:
        file.write("echo the balancer refuses >&2; exit 3\n")
    lab["db3"].stop_sql()
    for order in (["--check"], ["--yes", "--to", "db2"]):
        done = manager.order("switch", "app1", *order)
        assert done.returncode == 29, done.stdout + done.stderr
        assert "the hooks would not work: " in done.stdout and "hook ended with status 3: the balancer refuses" in done.stdout
        assert "db3: its applier is stopped" in done.stdout, done.stdout
    assert set(hooks.names()) == {"status"} and lab["db1"].writable()
    lab["db3"].start_sql()
    with open(f"{hooks.folder}/hook-status", "w", encoding="utf-8") as file:
        file.write("sleep 4711\n")
    manager.wait_health("ok")
    done = manager.order("switch", "app1", "--check")
    assert done.returncode == 29 and "the hook status did not end" in done.stdout, done.stdout
    until(lambda: not lab.mgr.processes("sleep"), PATIENCE, "the end of what it had started")


@pytest.mark.parametrize("name, run", [
    ("prepare", ["prepare", "abort prepare"]), ("stop", ["prepare", "stop", "abort stop", "abort prepare"])])
@pytest.mark.parametrize("words", ["echo not today >&2; exit 3", "sleep 4711"], ids=["fails", "hangs"])
def test_switchover_refused(lab, name, run, words):
    """What was run is taken back in reverse order, also what failed; one that hangs is ended, with what it started."""
    hooks = Hooks(lab, *{"prepare", "stop", "start", "abort"} - {name}, **{name: words})
    manager = start(lab, hooks, timeout="2s")
    with Writer(lab) as writer:
        report = switch(manager, status=1)
        assert report["outcome"] == "aborted" and hooks.names() == run
        assert ("not today" if "exit" in words else "did not end by itself and was ended") in report["text"]
        as_before(manager, writer)
    until(lambda: not lab.mgr.processes("sleep"), PATIENCE, "the end of what it had started")


def test_switchover_taken_back(lab):
    """A failure after the hooks, here of the address; that an abort fails, too, is told, and the next one is run."""
    hooks = Hooks(lab, "prepare", "stop", "start", abort="exit 1")
    manager = start(lab, hooks, address={"device": "nothing0"}, switchover={"max_write_block": "1s"})
    with Writer(lab) as writer:
        report = switch(manager, status=1)
        assert hooks.names() == ["prepare", "stop", "abort stop", "abort prepare"]
        assert steps(report)["abort-stop-hook"]["state"] == steps(report)["abort-prepare-hook"]["state"] == "failed"
        as_before(manager, writer)


@pytest.mark.parametrize("words", ["exit 3", "sleep 4711"], ids=["fails", "hangs"])
def test_switchover_start_fails(lab, words):
    """It is too late to take anything back: the switchover is complete, and that the hook failed is told."""
    hooks = Hooks(lab, "prepare", "stop", "abort", start=words)
    manager = start(lab, hooks, timeout="2s")
    report = switch(manager)
    assert report["outcome"] == "completed" and steps(report)["start-hook"]["state"] == "failed"
    assert hooks.names() == ["prepare", "stop", "start"]
    assert manager.wait_health("ok")["primary"] == "db2"


def test_killed_in_a_hook(lab):
    """It dies, too; the next daemon takes back what it has done, as it cannot know how far it came."""
    hooks = Hooks(lab, "prepare", "start", "abort", stop=f"touch {lab.mgr.folder}/stopping; exec sleep 4711")
    manager = start(lab, hooks)
    with Writer(lab) as writer:
        order = threading.Thread(target=manager.order, args=("switch", "app1", "--yes", "--to", "db2"))
        order.start()
        until(lambda: os.path.exists(f"{lab.mgr.folder}/stopping"), PATIENCE, "the stop hook")
        lab.kill_mhad()
        until(lambda: not lab.mgr.processes("sleep"), PATIENCE, "the end of the hook")
        lab.start_mhad(timeout=PATIENCE)
        manager.wait_run("aborted")
        order.join()
        as_before(manager, writer)
    assert hooks.names() == ["prepare", "stop", "abort stop", "abort prepare"]


def test_failover_taken_back(lab):
    """The same in a failover that cannot go on after its stop hook."""
    hooks = Hooks(lab, "prepare", "stop", "start", "abort")
    manager = Manager.start(lab, hooks=hooks.config, fence={"policy": "required", "timeout": "1s"})
    lab["db1"].host.cut()
    manager.wait_run("aborted")
    assert hooks.names()[:4] == ["prepare", "stop", "abort stop", "abort prepare"] and not lab["db2"].writable()


def test_reports_do_not_end_each_other(lab):
    """A report hook that takes its time is not ended by the next report, nor by a reload."""
    hooks = Hooks(lab, prepare="exit 7", report=f"sleep 7; echo well >>{lab.mgr.folder}/ended")
    manager = Manager.start(lab, hooks=hooks.config)
    lab["db1"].kill()
    until(lambda: hooks.names().count("report") == 3, PATIENCE, "three reports", 0.1)
    lab.mhad_config(**merged(QUICK, {"hooks": hooks.config, "failover": {"flap_window": "7h"}}))
    assert manager.order("reload").returncode == 0
    ended = f"{lab.mgr.folder}/ended"
    until(lambda: os.path.exists(ended) and open(ended, encoding="utf-8").read().count("well") >= 3, PATIENCE, "their ends")
