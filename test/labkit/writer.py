"""A client that writes all the time and knows which rows were acknowledged: loss and downtime are measured with it."""

import collections
import glob
import json
import os
import signal

from .process import until

ROWS_PER_WRITER = 10**9


class Account:
    """What a writer lived through."""

    def __init__(self, lines, fault=None):
        self.acks = []  # (monotonic time, id, server_id)
        self.errors = []  # (monotonic time, kind)
        self.unknown = set()  # sent and neither acknowledged nor refused: may exist or not
        self.fault = fault
        for line in lines:
            if line.endswith("\n"):
                kind, mono, row, rest = line.rstrip("\n").split(" ", 3)
                if kind == "a":
                    self.acks.append((float(mono), int(row), int(rest)))
                elif kind == "e":
                    self.errors.append((float(mono), rest))
                    if row != "-":
                        self.unknown.add(int(row))

    @property
    def acknowledged(self):
        return [row for _, row, _ in self.acks]

    @property
    def error_kinds(self):
        return collections.Counter(kind for _, kind in self.errors)

    def _gap(self):
        """The longest time between two acknowledged writes that ends after the fault."""
        gaps = [(later[0] - earlier[0], earlier, later) for earlier, later in zip(self.acks, self.acks[1:])
                if self.fault is None or later[0] > self.fault]
        return max(gaps, default=None, key=lambda gap: gap[0])

    @property
    def downtime_ms(self):
        """None if nothing was acknowledged after the fault."""
        gap = self._gap()
        return round(gap[0] * 1000, 1) if gap else None

    @property
    def switch_ms(self):
        """From the fault to the first write acknowledged by another server than the last before it."""
        if self.fault is None:
            return None
        before = [ack for ack in self.acks if ack[0] <= self.fault]
        if not before:
            return None
        after = [ack[0] for ack in self.acks if ack[0] > self.fault and ack[2] != before[-1][2]]
        return round((after[0] - self.fault) * 1000, 1) if after else None

    def servers(self):
        """The server ids that acknowledged, in the order of their first."""
        return list(dict.fromkeys(server for _, _, server in self.acks))

    def summary(self):
        return {"acknowledged": len(self.acks), "downtime_ms": self.downtime_ms, "switch_ms": self.switch_ms,
                "servers": self.servers(), "unknown": len(self.unknown), "errors": dict(self.error_kinds)}


class Writer:
    """A writing process in the client host. With address=False it tries the cluster's servers in turn."""

    def __init__(self, lab, cluster=None, number=None, interval_ms=5, connect_timeout=0.2, read_timeout=0.5,
                 address=True, size=1, rich=0):
        self.lab = lab
        self.cluster = cluster or lab.clusters[0]
        self.number = number or len(glob.glob(f"{lab.client.folder}/writer-*.json")) + 1
        self.path = f"{lab.client.folder}/writer-{self.number}"
        self.spec = {
            "places": list(dict.fromkeys((self.cluster.address if address else server.ip, server.port)
                                         for server in self.cluster.servers)),
            "interval": interval_ms / 1000, "connect_timeout": connect_timeout, "read_timeout": read_timeout,
            "first": self.number * ROWS_PER_WRITER, "output": f"{self.path}.log", "size": size,
            "tls": lab.flavour.needs_tls, "cluster": self.cluster.name, "rich": rich,
        }

    @staticmethod
    def make_tables(lab, rows=1000, writers=8):
        """What writers with rich=rows need; once, on the primary."""
        lab.primary.sql(
            "CREATE TABLE app.bench (id INT PRIMARY KEY, k INT NOT NULL, c CHAR(120) NOT NULL, KEY (k)) ENGINE=InnoDB",
            "CREATE TABLE app.counts (writer BIGINT PRIMARY KEY, n INT NOT NULL) ENGINE=InnoDB",
            "INSERT INTO app.bench VALUES " + ", ".join(f"({row}, {row}, '')" for row in range(1, rows + 1)),
            "INSERT INTO app.counts VALUES " + ", ".join(f"({n * ROWS_PER_WRITER}, 0)" for n in range(1, writers + 1)))

    def counted_on(self, server):
        """How many of its transactions a server has carried out, as counted by themselves; and how many rows they left."""
        first = self.spec["first"]
        return server.value(f"SELECT n FROM app.counts WHERE writer = {first}"), len(self.rows_on(server))

    @classmethod
    def open_all(cls, lab):
        """Every writer that the lab has had."""
        writers = []
        for number in range(1, len(glob.glob(f"{lab.client.folder}/writer-*.json")) + 1):
            writer = cls(lab, number=number)
            with open(f"{writer.path}.json", encoding="utf-8") as file:
                writer.spec = json.load(file)
            writer.cluster = next(one for one in lab.clusters if one.name == writer.spec["cluster"])
            writers.append(writer)
        return writers

    def start(self, rows=5, timeout=15):
        """Start, and wait until that many rows are acknowledged."""
        with open(f"{self.path}.json", "w", encoding="utf-8") as file:
            json.dump(self.spec, file)
        script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "write.py")
        self.lab.client.spawn(["/usr/bin/python3", "-I", script, json.dumps(self.spec)], f"writer-{self.number}.out")
        try:
            self.wait_acknowledged(rows, timeout)
        except Exception:
            self._end()
            raise
        return self

    def process(self):
        script = json.dumps(self.spec)
        return next((one for one in self.lab.client.processes("python3") if script in one.arguments()), None)

    def _end(self):
        process = self.process()
        if process:
            process.signal(signal.SIGTERM)
            process.wait(10)

    def account(self):
        """What it has noted so far; the fault is the last that the lab made."""
        fault = self.lab.last_fault["mono"] if self.lab.last_fault else None
        with open(f"{self.path}.log", encoding="utf-8") as file:
            return Account(file.readlines(), fault)

    def stop(self):
        """End the process and give its account."""
        self._end()
        return self.account()

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        if self.lab.client.running():
            self._end()

    def wait_acknowledged(self, rows, timeout=30):
        """Wait until that many more rows are acknowledged."""
        goal = (len(self.account().acks) if os.path.exists(f"{self.path}.log") else 0) + rows

        def enough():
            return os.path.exists(f"{self.path}.log") and len(self.account().acks) >= goal

        until(enough, timeout, f"writer {self.number}: {rows} acknowledged rows", 0.02)

    def wait_elsewhere(self, timeout=60):
        """Wait until another server than before the last fault acknowledges."""
        until(lambda: self.account().switch_ms is not None, timeout, f"writer {self.number}: another server", 0.05)

    # What became of its rows

    def rows_on(self, server):
        first = self.spec["first"]
        last = first + ROWS_PER_WRITER - 1
        rows = server.sql(f"SELECT id FROM app.writes WHERE id BETWEEN {first} AND {last}", timeout=60)
        return {row["id"] for row in rows}

    def missing_on(self, server):
        """The acknowledged rows that a server does not have."""
        return sorted(set(self.account().acknowledged) - self.rows_on(server))

    def unknown_on(self, server):
        """Rows a server has though they were never acknowledged: no harm."""
        return sorted(self.rows_on(server) - set(self.account().acknowledged))
