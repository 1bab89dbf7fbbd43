"""mhad over a lab, as a test sees it: started with times that suit a test, asked by mhactl, and judged at the end."""

import json
import os
import time

from labkit import LabError, invariants
from labkit.mhad import merged
from labkit.process import all_pids, Process, until

QUICK = {"detection": {"ping_interval": "200ms", "status_interval": "200ms", "restart_grace": "100ms"}}
SECRETS = ("mhad-pw", "repl-pw", "OPENSSH PRIVATE KEY")
PATIENCE = int(os.environ.get("MHAD_PATIENCE", "90"))  # seconds; a machine may be slow
DEAD = ("D1", "D2", "D3", "D4", "D5", "D6", "D7")


class Manager:
    """One cluster of a lab under mhad."""

    def __init__(self, lab, cluster=None):
        self.lab = lab
        self.cluster = cluster or lab.clusters[0]
        self.log_read = 0

    @classmethod
    def start(cls, lab, health="ok", environment=None, servers=None, daemon=None, only=None, **sections):
        """Run mhad with QUICK and the sections laid over it, and wait until it has that health (None: do not wait)."""
        lab.mhad_config(daemon=daemon, servers=servers, only=only, **merged(QUICK, sections))
        lab.start_mhad(environment=environment, timeout=PATIENCE)
        managers = [cls(lab, cluster) for cluster in lab.clusters]
        for manager in managers:
            if health:
                manager.wait_health(health)
        return managers[0]

    # Asking

    def ask(self, *arguments):
        """What mhactl says with --json, whatever its exit status."""
        done = self.lab.mhactl(*arguments, "--json", check=False, timeout=60)
        try:
            return json.loads(done.stdout)
        except ValueError:
            raise LabError(f"mhactl {' '.join(arguments)}: status {done.returncode}: {done.stderr.strip()}") from None

    def order(self, *arguments, timeout=PATIENCE):
        """mhactl with an order: its CompletedProcess."""
        return self.lab.mhactl(*arguments, check=False, timeout=timeout)

    def status(self):
        return self.ask("status", self.cluster.name)["clusters"][0]

    def server(self, name):
        return next(server for server in self.status()["servers"] if server["name"] == name)

    def report(self, run=None):
        return self.ask("report", self.cluster.name, *([run] if run else []))["report"]

    def history(self):
        return self.ask("history", self.cluster.name)["runs"]

    def events(self, *names):
        """The events of the cluster that the daemon remembers, oldest first, all or those of some names."""
        done = self.lab.mhactl("events", self.cluster.name, "--json", check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        found = [json.loads(line) for line in done.stdout.splitlines()]
        return [event for event in found if not names or event["event"] in names]

    @property
    def folder(self):
        return f"{self.lab.mhad_state}/{self.cluster.name}"

    def records(self):
        """The records of the journal, without asking anybody."""
        path = f"{self.folder}/journal"
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8", errors="replace") as file:
            return [line for line in file.read().split("\n")[:-1] if line]

    # Waiting

    def wait(self, condition, what, timeout=PATIENCE):
        """Until condition(status) holds; what was asked last is in the error."""
        last = {}

        def holds():
            status = self.status()
            last.clear()
            last.update(status)
            return condition(last)

        try:
            until(holds, timeout, what, 0.1)
        except LabError as error:
            raise LabError(f"{error}; it says {brief(last)}\n{self.lab.mhad_log_tail()}") from None
        return last

    def wait_health(self, health, timeout=PATIENCE):
        return self.wait(lambda status: status["health"] == health, f"{self.cluster.name}: {health}", timeout)

    def wait_state(self, state, timeout=PATIENCE):
        return self.wait(lambda status: status["state"] == state, f"{self.cluster.name}: {state}", timeout)

    def wait_row(self, *rows, timeout=PATIENCE):
        return self.wait(lambda status: status.get("finding", {}).get("row") in rows, f"a finding {rows}", timeout)

    def wait_run(self, outcome="completed", after=None, timeout=PATIENCE):
        """Until a run has ended (another one than `after`); its report, which must tell of that outcome."""
        self.wait(lambda status: status.get("last_run", {}).get("run") not in (None, after)
                  and status["state"] not in ("running",), "the end of a run", timeout)
        report = self.report()
        assert report["outcome"] == outcome, report["text"]
        return report

    def wait_event(self, *names, timeout=PATIENCE):
        return until(lambda: self.events(*names), timeout, f"event {names}", 0.1)

    def stays(self, condition, seconds, what):
        """condition(status) holds all the time."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            status = self.status()
            assert condition(status), f"{what}: {brief(status)}\n{self.lab.mhad_log_tail()}"
            time.sleep(0.1)

    def untouched(self, seconds):
        """No run begins for so long."""
        self.stays(lambda status: not status.get("run") and not status.get("last_run"), seconds, "a run began")
        assert not self.events("run-started"), self.lab.mhad_log_tail()

    # Judging

    def secrets(self):
        """Nothing that it has written and no argument of any process holds a secret."""
        places = [self.lab.mhad_log]
        for folder, _, names in os.walk(self.lab.mhad_state):
            places += [f"{folder}/{name}" for name in names]
        for place in places:
            with open(place, encoding="utf-8", errors="replace") as file:
                text = file.read()
            for secret in SECRETS:
                assert secret not in text, f"{secret} in {place}"
        for process in map(Process, all_pids()):
            arguments = process.arguments()
            ours = any(f"{self.lab.folder}/" in word for word in arguments)
            others = any("/mhad-lab/" in word for word in arguments)  # whose tests may want them there
            if ours or (not others and any("mhad" in word for word in arguments)):
                for secret in SECRETS:
                    assert not any(secret in word for word in arguments), f"{secret} in {arguments}"

    def well(self, writers=(), dead=("db1",), health=None, direct=True, complete=False, timeout=30):
        """The invariants after a failover; gives the primary.

        complete: no acknowledged row at all may be missing; else what the old primary kept for itself may. A replica
        that by position lacks what the new primary has must have been left alone and reported; it is not looked at
        further.
        """
        for writer in writers:
            writer.wait_acknowledged(10, PATIENCE)
            writer.stop()
        report = self.report()
        if self.lab.mode == "position":
            behind = [name for name, state in states(report).items() if state == "not attached" and name not in dead]
            dead = {*dead, *behind}
            for name in behind:
                status = self.lab[name].status()
                assert status["io"] == "No" and status["source"] == self.lab[report["old_primary"]].ip, name
                assert not self.lab[name].writable()
        primary = invariants(self.lab, dead, self.cluster, timeout=timeout, direct=direct)
        status = self.wait_state("steady")
        assert status["primary"] == primary.name, brief(status)
        if health:
            self.wait_health(health)
        roles = {server["name"]: server["role"] for server in status["servers"]}
        assert roles[primary.name] == "primary"
        check_read_only(self.cluster, primary, dead)
        for writer in writers:
            missing = writer.missing_on(primary)
            if complete or report.get("loss", {}).get("verdict") == "none":
                assert not missing, f"{len(missing)} acknowledged rows are missing: {missing[:5]}"
            check_missing_is_tail(writer, missing)
        self.secrets()
        return primary


def check_read_only(cluster, primary, dead):
    for server in cluster.servers:
        if server.name in dead:
            continue
        names = ["read_only"] + ["super_read_only"] * server.flavour.has_super_read_only
        for name in names:
            assert int(server.value(f"SELECT @@global.{name}")) == int(server is not primary), f"{server.name}: {name}"


def check_missing_is_tail(writer, missing):
    """What is missing was acknowledged by the old primary, last of all."""
    acks = writer.account().acks
    first = acks[0][2]
    by_first = [row for _, row, server in acks if server == first]
    assert missing == by_first[len(by_first) - len(missing):], f"holes: {missing[:5]} of {by_first[-5:]}"


def brief(status):
    words = {key: status.get(key) for key in ("state", "health", "primary", "finding", "problems", "last_run", "run")}
    if words["run"]:
        words["run"] = {key: words["run"].get(key) for key in ("run", "state", "step")}
    words["servers"] = {server["name"]: [server["role"], server["evidence"]] for server in status.get("servers", [])}
    return json.dumps(words)


def rungs(report):
    """The rungs of the fence that held, of those that were tried."""
    return {rung["rung"]: rung["held"] for rung in report["fence"]}


def states(report):
    return {server["name"]: server["state"] for server in report["servers"]}


def steps(report):
    return {step["name"]: step for step in report["steps"]}
