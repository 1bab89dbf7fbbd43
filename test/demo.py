"""What mhad does when a primary dies: three database hosts, a client that writes, and a kill.

Installs what is missing, builds, starts three hosts (network namespaces with a database and an sshd each) and mhad,
lets a client write to the cluster's address, kills the primary, and shows what mhad did and what the client saw.
Everything is gone when it ends, unless it is told to --keep it. Exit status: 0 the failover succeeded and no
acknowledged row is missing; 1 not so; 2 it could not be tried; 130 interrupted.
"""

import argparse
import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time

TEST = os.path.dirname(os.path.abspath(__file__))
COLOUR = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
STYLES = {"strong": "1", "faint": "2", "good": "32", "bad": "31", "warn": "33"}
TITLES = {"mariadb": "MariaDB", "mysql56": "MySQL", "mysql9": "MySQL", "mariadb11": "MariaDB",
          "mariadb105": "MariaDB"}
# What is of interest to an onlooker; the steps are shown as they are done.
QUIET_EVENTS = {"debug", "cluster-state", "step-started", "report", "topology-problem", "topology-ok"}
LAST_EVENTS = {"run-completed": True, "run-aborted": False, "run-halted": False, "held": False}
TONES = {"suspect": "warn", "dead": "bad", "held": "bad", "run-completed": "good", "run-aborted": "bad",
         "run-halted": "bad", "step-failed": "warn", "error": "bad", "warning": "warn"}
ROWS_BEFORE, ROWS_AFTER = 300, 200
READY_TIMEOUT, RUN_TIMEOUT, STEADY_TIMEOUT = 30, 60, 20


def style(words, name):
    return f"\033[{STYLES[name]}m{words}\033[0m" if COLOUR and name else words


def heading(words):
    print(f"\n{style(words, 'strong')}", flush=True)


def say(words, name=None):
    print("  " + style(words, name), flush=True)


def arguments():
    parser = argparse.ArgumentParser(prog="test/demo", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave it all running, to play with")
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.add_argument("--flavour", choices=list(TITLES), default="mariadb", help="default: %(default)s")
    parser.add_argument("--mode", choices=["position", "gtid"], default="gtid", help="default: %(default)s")
    return parser.parse_args()


class Failed(Exception):
    """The demo could not be played."""


class Demo:
    def __init__(self, options):
        self.options = options
        self.lab = None
        self.result = {"downtime_ms": None, "acknowledged": 0, "missing_on_primary": None, "missing_on_replicas": None,
                       "old_primary": None, "new_primary": None}

    # The acts

    def prepare(self):
        heading("Preparing")
        if subprocess.run([f"{TEST}/prepare", "daemon/mhad", "client/mhactl"], check=False).returncode:
            raise Failed("it could not be built")
        sys.path.insert(0, TEST)
        from labkit import LabError, flavours  # not before what it needs is installed
        flavour = flavours.flavour_named(self.options.flavour)
        try:
            flavours.fetch_tools()
            flavour.fetch()
        except LabError as error:
            raise Failed(str(error)) from None
        say(f"{'database':10}{TITLES[flavour.name]} {flavour.version()}")

    def start(self):
        from labkit import Lab, Unavailable, Writer, flavours, living_labs, process
        heading("Starting three database hosts, mhad, and a client that writes")
        name = "demo" if self.options.keep and "demo" not in living_labs() else None
        try:
            semisync = flavours.flavour_named(self.options.flavour).semisync_options() is not None
        except Unavailable:  # not every server has it
            semisync = False
        self.lab = Lab.up(name, flavour=self.options.flavour, mode=self.options.mode, semisync=semisync)
        self.cluster = self.lab.clusters[0]
        for server in self.cluster.servers:
            role = f"primary, has the address {self.lab.address}" if server is self.lab.primary else "replica"
            say(f"{server.name:8}{server.ip:14}{role}")
        self.lab.mhad_config()
        self.lab.start_mhad()
        say(f"{'mgr':8}{self.lab.mgr.ip:14}mhad, with its own defaults")
        process.until(self.ready, READY_TIMEOUT, "mhad knows the cluster and would fail it over", 0.1)
        self.writer = Writer(self.lab).start()
        semisync = ", acknowledged when a replica has it" if self.lab.settings["semisync"] else ""
        say(f"{'client':8}{self.lab.client.ip:14}writes a row every 5 ms to {self.lab.address}{semisync}")
        self.writer.wait_acknowledged(ROWS_BEFORE)
        self.show("status")

    def status(self):
        done = self.lab.mhactl("status", self.cluster.name, "--json", check=False)
        return json.loads(done.stdout)["clusters"][0] if done.stdout.strip() else {}

    def ready(self):
        status = self.status()
        forecast = status.get("if_primary_died") or {}
        return status.get("health") == "ok" and forecast.get("candidate") and not forecast.get("blockers")

    def kill(self):
        """Kill the primary and follow what mhad tells until its run has ended, well or not."""
        old = self.lab.primary
        heading(f"Killing the database of {old.name}, and what mhad does")
        self.result["old_primary"] = old.name
        with self.events() as events:
            killed = time.time()
            old.kill()
            say(f"{'0 ms':>9}  {old.name} is killed (SIGKILL)", "strong")
            end = time.monotonic() + RUN_TIMEOUT
            while time.monotonic() < end:
                try:
                    event = events.get(timeout=0.5)
                except queue.Empty:
                    continue
                if event is None:
                    break
                after = (event["time"] / 1e6 - killed) * 1000
                if after < 0 or event["event"] in QUIET_EVENTS:
                    continue
                text = event["text"].removeprefix(f"{self.cluster.name}: ")
                say(f"{after:6.0f} ms  {text}", TONES.get(event["event"]))
                if event["event"] in LAST_EVENTS:
                    return LAST_EVENTS[event["event"]]
        say(f"mhad has not come to an end within {RUN_TIMEOUT} s", "bad")
        return False

    @contextlib.contextmanager
    def events(self):
        """A queue of what "mhactl events" says; None when it ends."""
        from labkit.host import BUILD
        child = self.lab.mgr.popen([f"{BUILD}/client/mhactl", "events", self.cluster.name, "--follow", "--json"],
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        found = queue.Queue()

        def read():
            for line in child.stdout:
                found.put(json.loads(line))
            found.put(None)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            yield found
        finally:
            self.lab.mgr.end("mhactl", signal.SIGTERM)
            child.wait(5)
            reader.join(5)

    def look(self):
        """The report, the status, and what the client saw; whether all is well."""
        from labkit import LabError, invariants, process
        well = True
        try:
            self.writer.wait_acknowledged(ROWS_AFTER)
            process.until(lambda: self.status().get("state") == "steady", STEADY_TIMEOUT, "the cluster is steady", 0.1)
        except LabError as error:
            say(str(error), "bad")
            well = False
        account = self.writer.stop()
        living = [server for server in self.cluster.servers if server is not self.lab.primary]
        try:
            primary = invariants(self.lab, [self.lab.primary.name], self.cluster)
            self.result["new_primary"] = primary.name
        except AssertionError as violation:
            say(str(violation), "bad")
            primary, well = None, False
        missing = {server: len(self.writer.missing_on(server)) for server in living}
        self.result.update(
            downtime_ms=account.switch_ms and account.downtime_ms, acknowledged=len(account.acks),
            missing_on_primary=missing.get(primary), missing_on_replicas=sum(
                rows for server, rows in missing.items() if server is not primary))

        self.show("report")
        self.show("status")
        heading("What the client saw")
        say(f"{len(account.acks):7}     rows acknowledged")
        if account.switch_ms is None:
            say("no row was acknowledged after the kill", "bad")
        else:
            say(f"{account.downtime_ms:7.0f} ms  without an acknowledged write")
        for server, rows in missing.items():
            role = "the new primary" if server is primary else "a replica"
            say(f"{rows:7}     acknowledged rows missing on {server.name}, {role}", "bad" if rows else "good")
        return well and account.switch_ms is not None and not any(missing.values())

    def show(self, verb):
        """What mhactl says, in its own colours."""
        from labkit.host import BUILD, ENVIRONMENT
        heading(f"mhactl {verb} {self.cluster.name}")
        environment = {**{name: os.environ[name] for name in ("TERM", "NO_COLOR", "COLUMNS") if name in os.environ},
                       **ENVIRONMENT}
        subprocess.run(self.lab.mgr.command(f"{BUILD}/client/mhactl", verb, self.cluster.name), env=environment,
                       stdin=subprocess.DEVNULL, check=False)

    def explain(self):
        """What to do with it when it is kept."""
        from labkit import Writer
        Writer(self.lab, interval_ms=100).start()
        tool = os.path.relpath(f"{TEST}/lab")
        which = f"--id {self.lab.id}"
        heading("It goes on running, and a client writes ten rows a second. Look:")
        if "MHAD_BUILD" in os.environ:
            say(f"export MHAD_BUILD={os.environ['MHAD_BUILD']}")
        for words, meaning in (
                (f"mhactl {which} status", "the cluster; any verb of mhactl(1) will do"),
                (f"status {self.lab.id}", "the hosts"),
                (f"mhad {which} log", "what mhad says"),
                (f"writer {which} report", "the clients' accounts"),
                (f"sql {which} db3 'SHOW SLAVE STATUS'" if self.options.flavour != "mysql9" else
                 f"sql {which} db3 'SHOW REPLICA STATUS'", "any statement, on any server"),
                (f"sh {which} mgr", "a shell in a host")):
            say(f"{tool} {words:42} {style(meaning, 'faint')}")
        heading("Play:")
        for words, meaning in (
                (f"restart {which} {self.result['old_primary']}", "the old primary comes back: mhad fences it"),
                (f"mhactl {which} acknowledge app1", "lets mhad fail over again at once"),
                (f"freeze {which} {self.result['new_primary'] or 'db2'}", "stops the new primary's process; thaw undoes it"),
                (f"cut {which} db3", "no packet gets through; heal undoes it")):
            say(f"{tool} {words:42} {style(meaning, 'faint')}")
        heading("Stop, and remove everything:")
        say(f"{tool} down {self.lab.id}")

    # The whole

    def play(self):
        self.prepare()
        from labkit import LabError
        kept = False
        try:
            self.start()
            completed = self.kill()
            well = self.look() and completed
            if self.options.keep:
                self.explain()
                kept = True
            return 0 if well else 1
        except LabError as error:
            raise Failed(f"{error}\n{self.lab.mhad_log_tail() if self.lab else ''}".strip()) from None
        finally:
            if self.lab and not kept:
                self.lab.down()


def main():
    options = arguments()
    if os.geteuid() != 0:
        sys.exit("test/demo: must be run by root: sudo test/demo")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    demo = Demo(options)
    try:
        status = demo.play()
    except Failed as error:
        say(str(error), "bad")
        status = 2
    except KeyboardInterrupt:
        print("\ninterrupted; all that was started is gone", flush=True)
        status = 130
    heading({0: style("The failover succeeded and nothing is missing.", "good"),
             1: style("Not all is well.", "bad")}.get(status, style("The demo was not played to its end.", "bad")))
    if options.json:
        print(json.dumps(demo.result), flush=True)
    sys.exit(status)


main()
