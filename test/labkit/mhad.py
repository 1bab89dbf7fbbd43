"""mhad in the lab: its configuration, and the daemon and its client in the host "mgr"."""

import json
import os
import re
import signal
import socket
import subprocess

from . import folder
from .errors import LabError
from .host import BUILD
from .process import until

SOCKET = "/run/mhad/control"
PASSED = ("ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS", "MHAD_LOG_LEVEL")


def to_yaml(value, indent=0):
    """Lines of block YAML for dicts, lists of dicts, and plain values."""
    lines = []
    pad = " " * indent
    for key, item in value.items():
        if isinstance(item, dict) and item:
            lines += [f"{pad}{key}:"] + to_yaml(item, indent + 2)
        elif isinstance(item, list) and item and isinstance(item[0], dict):
            lines.append(f"{pad}{key}:")
            for one in item:
                first, *rest = to_yaml(one, indent + 4)
                lines += [f"{pad}  - {first.lstrip()}"] + rest
        else:
            lines.append(f"{pad}{key}: {_scalar(item)}")
    return lines


def _scalar(item):
    if isinstance(item, str) and re.fullmatch(r"[A-Za-z0-9/][\w./-]*", item):
        return item
    return json.dumps(item)


def merged(base, changes):
    """The base with the changes laid over it; None takes a key out."""
    result = dict(base)
    for key, value in changes.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = merged(result[key], value)
        else:
            result[key] = value
    return result


class MhadMixin:
    """The part of Lab that knows mhad."""

    mhad = None  # the Popen of a daemon that this object has started

    @property
    def mhad_yaml(self):
        return f"{self.mgr.folder}/etc/mhad.yaml"

    @property
    def mhad_state(self):
        return f"{self.mgr.system.root()}/var/lib/mhad" if self.mgr.system else f"{self.mgr.folder}/state"

    @property
    def mhad_log(self):
        return f"{self.mgr.folder}/mhad.log"

    def mhad_config(self, daemon=None, only=None, servers=None, **sections):
        """Write mhad's configuration, mhad's own defaults as far as nothing is said; give the path of mhad.yaml.

        sections are laid over every cluster (detection={"restart_grace": "0s"}), servers over servers by name
        ({"db2": {"promotion": "never"}}), only over one cluster by name; None takes a key out.
        """
        etc = f"{self.mgr.folder}/etc"
        for path in (etc, f"{etc}/clusters.d", self.mhad_state):
            os.makedirs(path, mode=0o700, exist_ok=True)
        for user in ("mhad", "repl"):
            folder.write(f"{etc}/{user}.password", f"{user}-pw\n")
        folder.write(f"{etc}/known_hosts", "".join(self._known_hosts()))
        main = merged({"daemon": {"state_directory": self.mhad_state, "socket": SOCKET}}, {"daemon": daemon or {}})
        folder.write(self.mhad_yaml, "\n".join(to_yaml(main)) + "\n")
        for cluster in self.clusters:
            config = merged(self._cluster_config(cluster, servers or {}), sections)
            config = merged(config, (only or {}).get(cluster.name, {}))
            folder.write(f"{etc}/clusters.d/{cluster.name}.yaml", "\n".join(to_yaml(config)) + "\n")
        return self.mhad_yaml

    def _known_hosts(self):
        for host in self.hosts.values():
            with open(f"{host.folder}/host_key.pub", encoding="utf-8") as file:
                key = file.read().rsplit(" ", 1)[0]
            names = [host.ssh_ip, host.name]
            if host.ssh_port != 22:
                names = [f"[{name}]:{host.ssh_port}" for name in names]
            yield f"{','.join(names)} {key}\n"

    def _ssh(self, host):
        return {"ssh_host": host.ssh_ip} if self.settings["management"] else {}

    def _cluster_config(self, cluster, changes):
        etc = f"{self.mgr.folder}/etc"
        config = {
            "cluster": cluster.name,
            "servers": [merged({"name": server.name, "host": server.ip, "port": server.port,
                                **self._ssh(server.host)},
                               changes.get(server.name, {})) for server in cluster.servers],
            "observers": [{"name": "client", "host": self.client.ssh_ip}],
            "sql": {"user": "mhad", "password_file": f"{etc}/mhad.password"},
            "replication": {"user": "repl", "password_file": f"{etc}/repl.password"},
            "ssh": {"user": "root", "identity_file": f"{self.folder}/ssh_key",
                    "known_hosts_file": f"{etc}/known_hosts"},
        }
        if self.flavour.needs_tls:
            config["sql"]["tls"] = {"mode": "required"}
        if self.settings["address"]:
            config["address"] = {"ip": f"{cluster.address}/{self.prefix}", "device": "eth0"}
        if self.settings["management"]:
            config["ssh"]["port"] = self.client.ssh_port
        if self.settings["supervised"] is not None:
            config["fence"] = {"command": "/run/lab/stop-database"}
        if self.settings["ssh_user"] != "root":
            config["ssh"] |= {"user": self.settings["ssh_user"], "sudo": "commands"}
            if not cluster.primary.host.system:
                config["fence"] = {"command": "sudo -n /run/lab/stop-database"}
        return config

    # The daemon

    def start_mhad(self, binary=None, environment=None, arguments=(), wait=True, timeout=20):
        """Run mhad in the host mgr until stop_mhad() or kill_mhad(); give its Popen once its socket answers."""
        binary = binary or f"{BUILD}/daemon/mhad"
        if not os.access(binary, os.X_OK):
            raise LabError(f"{binary}: not built")
        if not os.path.exists(self.mhad_yaml):
            self.mhad_config()
        if self.mhad_running():
            raise LabError("mhad is running")
        os.makedirs(f"{self._mgr_root()}/run/mhad", mode=0o755, exist_ok=True)
        environment = {**{name: os.environ[name] for name in PASSED if name in os.environ}, **(environment or {})}
        with open(self.mhad_log, "ab") as log:
            self.mhad = self.mgr.popen([binary, "--config", self.mhad_yaml, *arguments], environment,
                                       stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        if wait:
            try:
                until(self._mhad_answers, timeout, "mhad's socket")
            except LabError as error:
                self.kill_mhad()
                raise LabError(f"{error}\n{self.mhad_log_tail()}") from None
        return self.mhad

    def _mgr_root(self):
        return f"/proc/{self.mgr.holder.process().pid}/root"

    def _mhad_answers(self):
        if self.mhad.poll() is not None:
            raise LabError(f"mhad ended at its start, status {self.mhad.returncode}")
        with socket.socket(socket.AF_UNIX) as wire:
            wire.settimeout(1)
            try:
                wire.connect(self._mgr_root() + SOCKET)
                return True
            except OSError:
                return False

    def mhad_running(self):
        return bool(self.mgr.processes("mhad"))

    def stop_mhad(self, timeout=30):
        """SIGTERM and wait; its exit status, if it was started by this object."""
        return self.kill_mhad(signal.SIGTERM, timeout)

    def kill_mhad(self, number=signal.SIGKILL, timeout=10):
        """Send a signal that ends mhad, and wait; its exit status (negative: a signal) if we started it."""
        self.mgr.end("mhad", number, timeout)
        if not self.mhad:
            return None
        try:
            status = self.mhad.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError("mhad does not end") from None
        self.mhad = None
        return status

    def reload_mhad(self):
        """SIGHUP."""
        self.mgr.send_signal("mhad", signal.SIGHUP)

    def mhad_log_tail(self, lines=60):
        if self.mgr.system:
            return self.mgr.system.journal("-n", str(lines))
        if not os.path.exists(self.mhad_log):
            return "(mhad has no log)"
        with open(self.mhad_log, encoding="utf-8", errors="replace") as file:
            return "".join(file.readlines()[-lines:])

    # The client

    def mhactl(self, *arguments, binary=None, timeout=30, check=True):
        """Run mhactl in the host mgr: its CompletedProcess, or with --json what it printed, parsed."""
        done = self.mgr.run(binary or f"{BUILD}/client/mhactl", *arguments, timeout=timeout, check=check)
        if check and "--json" in arguments:
            values = [json.loads(line) for line in _documents(done.stdout)]
            return values[0] if len(values) == 1 else values
        return done


def _documents(text):
    """The text as one JSON document, or line by line if it is several."""
    try:
        json.loads(text)
        return [text]
    except ValueError:
        return [line for line in text.splitlines() if line.strip()]
