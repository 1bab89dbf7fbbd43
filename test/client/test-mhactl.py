#!/usr/bin/env python3
"""mhactl as a program: what it sends, shows and returns, against a daemon made of canned answers."""
import json
import os
import pty
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

MHACTL = sys.argv.pop(1)


class Daemon:
    """Answers each method with what `answers` holds: a value, or a function of (parameters, send) that may send more."""

    def __init__(self, path, answers):
        self.path, self.answers, self.calls, self.open = path, answers, [], []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(path)
        self.socket.listen(10)
        self.thread = threading.Thread(target=self.accept, daemon=True)
        self.thread.start()

    def accept(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.open.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        def send(parameters=None, error=None, continues=False):
            message = {"parameters": parameters or {}}
            if error:
                message["error"] = error
            if continues:
                message["continues"] = True
            connection.sendall(json.dumps(message).encode() + b"\0")

        buffered = b""
        try:
            while True:
                while b"\0" not in buffered:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    buffered += piece
                message, buffered = buffered.split(b"\0", 1)
                call = json.loads(message)
                self.calls.append(call)
                answer = self.answers[call["method"].split(".")[-1]]
                if callable(answer):
                    answer(call.get("parameters"), send)
                else:
                    send(**answer)
        except OSError:
            pass
        finally:
            connection.close()

    def stop(self):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        for connection in self.open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        os.unlink(self.path)


def ok(**parameters):
    return {"parameters": parameters}


def error(name, **parameters):
    return {"error": name, "parameters": parameters}


def event(name, run="r1", cluster="shop", when=None, text=""):
    return {"time": when or time.time_ns() // 1000, "event": name, "cluster": cluster, "run": run, "text": text}


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, "control")
        self.daemon = None

    def tearDown(self):
        if self.daemon:
            self.daemon.stop()
        self.folder.cleanup()

    def start(self, **answers):
        self.daemon = Daemon(self.path, answers)

    def run_it(self, *words, **more):
        environment = dict(os.environ, MHAD_SOCKET=self.path, LC_ALL="C.UTF-8", **more)
        return subprocess.run([MHACTL, *words], capture_output=True, text=True, timeout=60, env=environment,
                              stdin=subprocess.DEVNULL)

    def expect(self, status, *words):
        result = self.run_it(*words)
        self.assertEqual(result.returncode, status, result)
        return result


class Asking(Case):
    def test_not_running(self):
        self.assertEqual(self.expect(3, "check", "config", "--json").stdout, "")
        result = self.expect(3, "status")
        self.assertEqual(result.stderr, "mhactl: mhad is not running: systemctl start mhad "
                                        f"({self.path}: No such file or directory)\n")
        self.assertIn("/nowhere", self.expect(3, "status", "--socket", "/nowhere").stderr)

    def test_usage(self):
        self.assertIn("did you mean status", self.expect(2, "statsu").stderr)
        self.expect(2, "pause")
        self.expect(2, "pause", "shop", "--for", "soon")
        self.assertIn("say retry, override", self.expect(2, "run", "foo", "shop").stderr)
        self.assertIn("--verdict met", self.expect(2, "run", "override", "shop", "--server", "db2").stderr)
        self.expect(0, "--help")
        self.expect(0, "--version")
        verbs = self.expect(0, "__complete", "").stdout.split()
        self.assertIn("switch", verbs)
        for verb in verbs:
            text = self.expect(0, verb, "--help").stdout
            self.assertIn("Options:", text)
            self.assertIn(f"\n  mhactl {verb}", text, "an example")
            self.assertEqual(self.expect(0, "help", verb).stdout, text)
        self.assertEqual(self.expect(0, "help").stdout, self.expect(0, "--help").stdout)
        self.assertIn("no verb", self.expect(2, "help", "statsu").stderr)

    def test_status(self):
        for health, status in {"ok": 0, "warning": 10, "suspect": 11, "held": 11, "running": 12, "halted": 13}.items():
            self.start(Status=ok(clusters=[{"cluster": "a", "health": "ok"}, {"cluster": "shop", "health": health}]))
            self.assertIn("shop", self.expect(status, "status").stdout)
            self.daemon.stop()
        self.daemon = None

    def test_json(self):
        self.start(Status=ok(clusters=[]), Check=ok(checks=[], ready=True), History=ok(runs=[]), Report=ok(report={}),
                   Events=ok(events=[event("a"), event("b")]), Plan=ok(plan={}), Pause=ok(), Version=ok(version="9"))
        for words in (["status"], ["check"], ["history"], ["report"], ["plan", "failover", "shop"], ["pause", "shop"],
                      ["version"]):
            json.loads(self.expect(0, *words, "--json").stdout)
        for words in (["import", "a.cnf"], ["help"], ["check", "config", "a.yaml"]):
            self.assertIn("--json", self.expect(2, *words, "--json").stderr)
            self.assertNotIn("--json  ", self.expect(0, words[0], "--help").stdout if words[0] != "check" else "")
        lines = self.expect(0, "events", "--json").stdout.splitlines()
        self.assertEqual([json.loads(line)["event"] for line in lines], ["a", "b"])

    def test_check(self):
        self.start(Check=ok(checks=[], ready=False))
        self.expect(1, "check", "shop")
        self.assertEqual(self.daemon.calls[-1]["parameters"], {"cluster": "shop"})
        self.expect(1, "check", "ssh", "shop", "--mesh")
        self.assertEqual(self.daemon.calls[-1]["parameters"], {"cluster": "shop", "what": "ssh", "mesh": True})
        self.expect(1, "check", "config")
        self.assertEqual(self.daemon.calls[-1]["parameters"], {"what": "config"})
        self.expect(2, "check", "shop", "ssh")
        self.expect(2, "check", "replication", "--mesh")

    def test_errors(self):
        self.start(Resume=error("org.mhad.Refused", reason="no \x1b[2J"), Acknowledge=error(
            "org.varlink.service.PermissionDenied"), Status=error("org.varlink.service.MethodNotFound", method="x"),
            Report=error("org.mhad.UnknownCluster", cluster="x", reason="no cluster x; there is shop"))
        self.assertEqual(self.expect(1, "resume", "shop").stderr, "mhactl: no ?[2J\n")
        self.assertIn("sudo", self.expect(1, "acknowledge", "shop").stderr)
        self.assertIn("version", self.expect(1, "status").stderr)
        self.assertEqual(self.expect(1, "report", "x").stderr, "mhactl: no cluster x; there is shop\n")

    def test_garbage(self):
        self.start(Status=lambda parameters, send: self.daemon.open[-1].shutdown(socket.SHUT_RDWR),
                   History=lambda parameters, send: self.daemon.open[-1].sendall(b"hello\0"))
        self.assertIn("not mhad", self.expect(3, "history").stderr)
        self.assertIn("closed the connection", self.expect(3, "status").stderr)

    def test_parameters(self):
        self.start(Pause=ok(), Run=ok(), Plan=ok(plan={}))
        self.expect(0, "pause", "shop", "--for", "1h30m", "--reason", "rack")
        self.expect(0, "run", "override", "shop", "--server", "db2", "--verdict=met", "--reason", "seen")
        self.expect(0, "plan", "failover", "shop", "--to", "db2", "--ignore-last-failover", "--accept-loss", "tail")
        self.assertEqual([call["parameters"] for call in self.daemon.calls], [
            {"cluster": "shop", "for_ms": 5400000, "reason": "rack"},
            {"cluster": "shop", "what": "override",
             "options": {"server": "db2", "verdict": "met", "reason": "seen"}},
            {"cluster": "shop", "procedure": "failover",
             "options": {"to": "db2", "accept_loss": "tail", "ignore_last_failover": True}}])

    def test_server_remove(self):
        """Not the primary, nor what may be that; MHAD_PROGRAM stands for the edit."""
        cluster = {"cluster": "shop", "primary": "db1"}
        self.start(Status=lambda parameters, send: send({"clusters": [cluster]}), Reload=ok())

        def remove(*words):
            return self.run_it("server", "remove", "shop", *words, MHAD_PROGRAM="/bin/true")

        refused = remove("db1")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("shop: db1 is the primary: first mhactl switch shop", refused.stderr)
        self.assertEqual(remove("db2").returncode, 0)
        said = self.run_it("server", "remove", "shop", "db2", "--json", MHAD_PROGRAM="/bin/echo")
        self.assertEqual(json.loads(said.stdout), {})
        self.assertIn("--edit-server remove", said.stderr)
        self.assertEqual(remove("db1", "--yes").returncode, 0)
        del cluster["primary"]
        refused = remove("db2")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("does not know", refused.stderr)
        self.daemon.stop()
        self.start(Status=error("org.mhad.UnknownCluster", cluster="shop", reason="no cluster shop"))
        refused = remove("db2")
        self.assertEqual(refused.returncode, 1)
        self.assertIn("no cluster shop; nothing was changed; --yes", refused.stderr)

    def test_reload(self):
        self.start(Reload=error("org.mhad.ConfigurationRejected", reason="2 errors", errors=["a:1:1: x", "b:2:2: y"]))
        self.assertEqual(self.expect(1, "reload").stderr, "a:1:1: x\nb:2:2: y\nmhactl: 2 errors\n")

    def test_follow(self):
        def events(parameters, send):
            send({"events": [event("old")]}, continues=True)
            time.sleep(0.2)
            send({"events": [event("new")]}, continues=True)
            send({"events": [event("last")]})

        self.start(Events=events)
        lines = self.expect(0, "events", "-f").stdout.splitlines()
        self.assertEqual(len(lines), 3)
        self.assertTrue(self.daemon.calls[0]["more"])


class Failover(Case):
    def begin(self, *ending, status=None):
        """Events of the run follow the order; the stream ends there."""
        self.ordered = threading.Event()

        def events(parameters, send):
            send({"events": [event("run-completed", run="r0", text="long ago")]}, continues=True)
            self.ordered.wait(10)
            send({"events": [event("run-started")]}, continues=True)
            send({"events": [event("run-completed", cluster="other", run="x")]}, continues=True)
            for one in ending:
                send({"events": [one]}, continues=True)

        def failover(parameters, send):
            send({"run": "r1"})
            self.ordered.set()

        self.start(Events=events, Failover=failover, Status=status or ok(clusters=[]), Plan=ok(plan={
            "procedure": "failover", "cluster": "shop", "steps": [{"name": "a", "goal": "the goal"}], "blocked": ["it is paused"]}))

    def test_completed(self):
        self.begin(event("step-done", text="one"), event("run-completed", text="two"))
        out = self.expect(0, "failover", "shop", "--yes").stdout
        self.assertIn("one", out)
        self.assertIn("Completed", out)
        self.assertNotIn("long ago", out)
        self.assertNotIn("other", out)

    def test_aborted_and_halted(self):
        self.begin(event("run-aborted"))
        self.expect(1, "failover", "shop", "--yes")
        self.daemon.stop()
        self.begin(event("run-halted"))
        lines = self.expect(13, "failover", "shop", "--yes", "--json").stdout.splitlines()
        self.assertEqual(json.loads(lines[-1]), {"cluster": "shop", "run": "r1", "outcome": "halted"})

    def test_refused(self):
        self.begin()
        self.daemon.answers["Failover"] = error("org.mhad.Refused", reason="the primary is alive")
        self.assertIn("alive", self.expect(1, "failover", "shop", "--yes").stderr)

    def test_by_status(self):
        """No event tells the end: the status does."""
        self.begin(status=ok(clusters=[{"cluster": "shop", "last_run": {"run": "r1", "outcome": "completed"}}]))
        self.expect(0, "failover", "shop", "--yes")

    def test_by_report(self):
        """Of a purge, which is no last run, the report does; all replicas of all clusters, one after the other."""
        purged = []

        def purge(parameters, send):
            purged.append((parameters["cluster"], parameters["server"]))
            send({"run": f"r{len(purged)}"})

        servers = [{"name": name, "role": role} for name, role in (("a", "primary"), ("b", "replica"), ("c", "replica"))]
        self.start(PurgeRelayLogs=purge, Events=lambda parameters, send: send({"events": []}, continues=True),
                   Status=ok(clusters=[{"cluster": "shop", "servers": servers}]),
                   Report=lambda parameters, send: send(
                       {"report": {"outcome": "aborted" if parameters["run"] == "r1" else "completed"}}))
        out = self.expect(1, "purge-relay-logs").stdout
        self.assertEqual(purged, [("shop", "b"), ("shop", "c")])
        self.assertIn("mhactl report shop r1", out)
        self.assertIn("Completed. All about it: mhactl report shop r2", out)
        self.expect(2, "purge-relay-logs", "--server", "b")

    def test_restart_in_the_middle(self):
        self.begin()

        def restart():
            self.ordered.wait(10)
            time.sleep(0.5)
            self.daemon.stop()
            time.sleep(1.5)
            self.start(Status=ok(clusters=[]), Events=lambda parameters, send: send(
                {"events": [event("run-started", when=1, text="old news"), event("run-completed", text="afterwards")]},
                continues=True))

        threading.Thread(target=restart).start()
        result = self.expect(0, "failover", "shop", "--yes")
        self.assertIn("afterwards", result.stdout)
        self.assertNotIn("old news", result.stdout)
        self.assertIn("goes on", result.stderr)

    def test_no_terminal(self):
        self.begin()
        self.assertIn("--yes", self.expect(30, "failover", "shop").stderr)
        self.assertEqual(self.daemon.calls, [])

    def on_terminal(self, answer, verb="failover"):
        main, other = pty.openpty()
        environment = dict(os.environ, MHAD_SOCKET=self.path, LC_ALL="C.UTF-8", TERM="xterm")
        process = subprocess.Popen([MHACTL, verb, "shop"], stdin=other, stdout=other, stderr=other, env=environment)
        os.close(other)
        os.write(main, answer)
        status, out = process.wait(30), b""
        try:
            while piece := os.read(main, 65536):
                out += piece
        except OSError:
            pass
        os.close(main)
        return status, out.decode()

    def primary(self, finding, text, **server):
        return ok(clusters=[{"cluster": "shop", "primary": "db1", "servers": [{"name": "db1", **server}, {"name": "db2", "source": "db1"}],
                             "finding": {"row": "X1", "finding": finding, "text": text}}])

    def test_asks_twice(self):
        """Whether the primary is dead, with what mhad knows of it; then, with the plan, whether to go from A to B."""
        self.begin(event("run-completed"), status=self.primary("dead", "Its process is gone", up=False))
        plan = {"procedure": "failover", "cluster": "shop", "blocked": ["it is paused"], "steps": [
            {"name": "a", "goal": "the goal"}, {"name": "choose", "goal": "one is chosen", "decided": {"candidate": "db2"}}]}
        self.daemon.answers["Plan"] = ok(plan=plan)
        status, out = self.on_terminal(b"n\n")
        self.assertEqual(status, 31, out)
        self.assertRegex(out, r"db1, the primary of shop, is dead:.*Its process is gone.*\[X1\]")
        self.assertNotIn("the goal", out)
        self.assertEqual([call["method"] for call in self.daemon.calls], ["org.mhad.Status"])
        status, out = self.on_terminal(b"y\nn\n")
        self.assertEqual(status, 31, out)
        out = re.sub("\x1b\\[[0-9;]*m", "", out)
        for words in ("the goal", "it is paused", "shop: db2 takes the place of db1", "now:    db1  (primary, dead)",
                      "then:   db2  (primary)", "Fail over shop from db1 to db2 now? [y/N]"):
            self.assertIn(words, out)
        self.assertNotIn("org.mhad.Failover", [call["method"] for call in self.daemon.calls])
        status, out = self.on_terminal(b"yes\nyes\n")
        self.assertEqual(status, 0, out)
        self.assertIn("\x1b[", out)
        ordered, = [call["parameters"] for call in self.daemon.calls if call["method"] == "org.mhad.Failover"]
        self.assertEqual(ordered["options"], {"from": "db1", "to": "db2"})

    def test_asks_what_mhad_cannot_tell(self):
        self.begin(status=self.primary("unreachable_from_here", "Another host sees it alive", up=False))
        status, out = self.on_terminal(b"no\n")
        self.assertEqual(status, 31, out)
        self.assertIn("mhad cannot tell", out)
        self.assertIn("Is it dead? [y/N]", out)

    def test_asks_nothing_of_a_living_primary(self):
        self.begin(status=self.primary("alive", "It answers", up=True))
        status, out = self.on_terminal(b"y\ny\n")
        self.assertEqual(status, 1, out)
        self.assertIn("is alive", out)
        self.assertNotIn("[y/N]", out)

    REFUSALS = {"primary-already": 20, "unknown-server": 21, "server-down": 22, "not-a-replica": 23, "paused": 24,
                "run-under-way": 25, "two-writable": 26, "no-primary": 27, "not-steady": 28, "too-late": 32, "no-run": 33, "other-manager": 34, "other-primary": 35,
                "never-heard-of": 1}

    def test_refusals(self):
        self.begin()
        for name, status in self.REFUSALS.items():
            refused = error("org.mhad.Refused", reason=f"no: {name}", id=name)
            self.daemon.answers.update(Switch=refused, Run=refused)
            self.assertIn(name, self.expect(status, "switch", "shop", "--yes").stderr)
            self.assertIn(name, self.expect(status, "cancel", "shop").stderr)

    def test_cancel(self):
        self.start(Run=ok())
        self.assertIn("undone", self.expect(0, "cancel", "shop", "--reason", "lunch").stdout)
        self.assertEqual(self.daemon.calls[-1]["parameters"],
                         {"cluster": "shop", "what": "cancel", "options": {"reason": "lunch"}})

    def begin_switch(self, *ending, approved="undone", checks="met"):
        self.begin(*ending, status=ok(clusters=[{"cluster": "shop", "primary": "db1", "servers": [
            {"name": "db1"}, {"name": "db2", "source": "db1"}, {"name": "db3", "source": "db1"},
            {"name": "db4", "source": "db3"}]}]))
        self.daemon.answers.update(
            Switch=self.daemon.answers["Failover"],
            Report=ok(report={"steps": [{"name": "approve", "state": approved}]}),
            Plan=ok(plan={"procedure": "switchover", "steps": [
                {"name": "look", "goal": "all is well", "check": True, "state": "planned",
                 "targets": {"db1": {"verdict": checks, "why": "the reason"}}},
                {"name": "choose", "goal": "one is chosen", "state": "decided", "decided": {"candidate": "db2"}},
                {"name": "demote", "goal": "it follows", "state": "planned"}]}))

    def test_switch(self):
        self.begin_switch(event("run-completed"))
        self.expect(0, "switch", "shop", "--yes")
        self.daemon.stop()
        self.begin_switch(event("run-aborted"))
        self.assertIn("undone", self.expect(1, "switch", "shop", "--yes").stdout)
        self.daemon.stop()
        self.begin_switch(event("run-aborted"), approved="pending")
        self.assertIn("a check failed", self.expect(29, "switch", "shop", "--yes").stdout)
        self.daemon.stop()
        self.begin_switch(checks="hopeless")
        self.assertIn("the reason", self.expect(29, "switch", "shop", "--check").stdout)

    def test_switch_asks_once_and_shows_the_tree(self):
        self.begin_switch(event("run-completed"))
        status, out = self.on_terminal(b"n\n", "switch")
        lines = [line.rstrip() for line in re.sub("\x1b\\[[0-9;]*m", "", out).split("\r\n")]
        tree = ["  now:    db1  (primary)", "          ├─ db2", "          └─ db3", "             └─ db4",
                "  then:   db2  (primary)", "          ├─ db1", "          └─ db3", "             └─ db4"]
        self.assertEqual([line for line in lines if "─" in line or "(primary)" in line], tree, out)
        self.assertEqual(status, 31, out)
        self.assertEqual(out.count("[y/N]"), 1)
        self.assertNotIn("org.mhad.Switch", [call["method"] for call in self.daemon.calls])
        status, out = self.on_terminal(b"yes\n", "switch")
        self.assertEqual(status, 0, out)


SCRIPTS = f"{os.path.dirname(os.path.abspath(__file__))}/../../client"


class Completing(Case):
    """By the shells themselves; "|" stands for the cursor."""

    ANSWERS = {"Status": ok(clusters=[{"cluster": "shop", "servers": [{"name": "db1"}, {"name": "db2"}]},
                                      {"cluster": "store", "servers": [{"name": "s1"}, {"name": "$(touch /nowhere)"}]}]),
               "History": ok(runs=[{"run": "r17"}])}
    CASES = {"mhactl sta|": "status", "mhactl wait s|": "shop store", "mhactl --json status sh|": "shop",
             "mhactl plan |": "failover switch", "mhactl plan switch |": "shop store",
             "mhactl run |": "retry override abandon cancel", "mhactl report shop |": "r17",
             "mhactl wait shop --until |": "dead healthy", "mhactl wait shop --ti|": "--timeout",
             "mhactl switch shop --to |": "db1 db2", "mhactl --socket x switch shop --to |": "db1 db2",
             "mhactl server set |": "shop store", "mhactl server down |": "shop store db1 db2 s1",
             "mhactl help pa|": "pause", "mhactl statsu |": "", "mhactl import |": ""}

    def start(self):
        def status(parameters, send):
            wanted = (parameters or {}).get("cluster")
            send({"clusters": [one for one in self.ANSWERS["Status"]["parameters"]["clusters"]
                               if wanted in (None, one["cluster"])]})

        super().start(Status=status, History=self.ANSWERS["History"])

    def bash(self, line):
        words = line.split("|", maxsplit=1)[0].split(" ")
        program = " ".join(f"'{word}'" for word in [MHACTL] + words[1:])
        script = (f"source {SCRIPTS}/mhactl.bash; COMP_WORDS=({program}); COMP_CWORD={len(words) - 1}; _mhactl; "
                  'echo "${COMPREPLY[*]}"')
        done = subprocess.run(["bash", "--norc", "-u", "-c", script], capture_output=True, text=True, timeout=30,
                              env=dict(os.environ, MHAD_SOCKET=self.path), check=False)
        self.assertEqual(done.stderr, "")
        return done.stdout.strip()

    def test_bash(self):
        self.start()
        for line, expected in self.CASES.items():
            with self.subTest(line):
                self.assertEqual(self.bash(line), expected)

    def test_without_a_daemon(self):
        self.assertEqual(self.bash("mhactl pau|"), "pause")
        self.assertEqual(self.bash("mhactl pause |"), "")

    def test_bash_loads_it(self):
        done = subprocess.run(["bash", "--norc", "-c", f"source {SCRIPTS}/mhactl.bash; complete -p mhactl"],
                              capture_output=True, text=True, timeout=30, check=True)
        self.assertIn("-F _mhactl mhactl", done.stdout)

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh")
    def test_zsh(self):
        self.assertEqual(subprocess.run(["zsh", "-n", f"{SCRIPTS}/mhactl.zsh"], check=False).returncode, 0)


class Copying(Case):
    """Saved logs, for root: whatever stands where they are said to be, and where they are to go."""

    def copy(self, status, says=None, name="db1/binlog.000001"):
        file = {"server": "db1", "file": "binlog.000001", "name": name, "copied": True, "size": 4}
        self.start(Rescues=ok(rescues=[{"run": "r1", "directory": f"{self.folder.name}/saved", "files": [file]}]))
        done = self.expect(status, "rescue", "copy", "shop", "r1", f"{self.folder.name}/out")
        self.daemon.stop()
        self.daemon = None
        if says:
            self.assertIn(says, done.stderr)
        return done

    def test_copy(self):
        saved, out = f"{self.folder.name}/saved/db1", f"{self.folder.name}/out"
        os.makedirs(saved)
        with open(f"{saved}/binlog.000001", "w", encoding="ascii") as file:
            file.write("text")
        self.copy(0)
        with open(f"{out}/db1/binlog.000001", encoding="ascii") as file:
            self.assertEqual(file.read(), "text")
        self.copy(1, "File exists")
        for name in ("../saved/x", "db1/../x", "/etc/passwd", "db1/.x", "db1"):
            self.copy(1, "cannot have saved", name)
        os.rename(f"{out}/db1", f"{out}/elsewhere")
        os.unlink(f"{out}/elsewhere/binlog.000001")
        os.symlink("elsewhere", f"{out}/db1")
        self.copy(1, "no folder of yours")
        self.assertEqual(os.listdir(f"{out}/elsewhere"), [])
        os.unlink(f"{out}/db1")
        for make in (lambda path: os.symlink("/etc/hostname", path), os.mkfifo, os.mkdir):
            os.rename(f"{saved}/binlog.000001", f"{self.folder.name}/{time.monotonic_ns()}")
            make(f"{saved}/binlog.000001")
            self.copy(1)
            self.assertFalse(os.path.exists(f"{out}/db1/binlog.000001"))


if __name__ == "__main__":
    unittest.main(warnings="ignore")
