"""mhad as a service of the host "mgr", which systemd runs: installed as a package would, configured in /etc/mhad."""

import json
import os

from . import folder
from .host import BUILD
from .mhad import merged
from .process import run

ETC = "/etc/mhad"
PLACES = {  # where the service finds what the lab's own mhad reads in the lab's folder
    "sql": {"password_file": f"{ETC}/mhad.password"},
    "replication": {"password_file": f"{ETC}/repl.password"},
    "ssh": {"identity_file": f"{ETC}/id_ed25519", "known_hosts_file": f"{ETC}/known_hosts"},
}


class Service:
    def __init__(self, lab):
        self.lab = lab
        self.host = lab.mgr
        self.system = lab.mgr.system

    def install(self, build=BUILD):
        """What the README says."""
        run(["meson", "install", "-C", build, "--no-rebuild", "--quiet"], timeout=120,
            env={**os.environ, "DESTDIR": self.system.root()})
        self.host.run("systemd-sysusers")
        self.host.run("systemd-tmpfiles", "--create", "mhad.conf")
        self.system.ctl("daemon-reload")

    def configure(self, daemon=None, **sections):
        """As Lab.mhad_config(), in /etc/mhad and for the user mhad."""
        self.lab.mhad_config(daemon=merged({"state_directory": None, "socket": None}, daemon or {}),
                             **merged(PLACES, sections))
        for path in os.listdir(f"{self.root()}{ETC}/clusters.d"):
            os.unlink(f"{self.root()}{ETC}/clusters.d/{path}")
        source = os.path.dirname(self.lab.mhad_yaml)
        for place, _, names in os.walk(source):
            for name in names:
                self._copy(f"{place}/{name}", os.path.relpath(f"{place}/{name}", source))
        self._copy(f"{self.lab.folder}/ssh_key", "id_ed25519")

    def _copy(self, source, name):
        with open(source, encoding="utf-8") as file:
            self.write(name, file.read())

    def write(self, name, text, mode=0o600):
        """A file in /etc/mhad that belongs to mhad."""
        path = f"{self.root()}{ETC}/{name}"
        if os.path.lexists(path):
            os.unlink(path)
        folder.write(path, text, mode)
        uid, gid = self.owner()
        os.chown(path, uid, gid)

    def read(self, path):
        with open(self.root() + path, encoding="utf-8") as file:
            return file.read()

    def owner(self):
        """The user of the host, who is another on the machine or nobody."""
        for line in self.read("/etc/passwd").splitlines():
            name, _, uid, gid, *_ = line.split(":")
            if name == "mhad":
                return int(uid), int(gid)
        raise KeyError("mhad")

    def root(self):
        return self.system.root()

    # Its life

    def ctl(self, *arguments, check=True, timeout=60):
        return self.system.ctl(*arguments, check=check, timeout=timeout)

    def state(self):
        return self.system.show("mhad", "ActiveState")

    def pid(self):
        return int(self.system.show("mhad", "MainPID"))

    def events(self, *names, boot=False):
        """The journal's records of its events, oldest first, all or those of some names."""
        arguments = ["-b"] if boot else []
        lines = self.system.journal("-u", "mhad", "-o", "json", *arguments).splitlines()
        found = [record for record in map(json.loads, lines) if "EVENT" in record]
        return [record for record in found if not names or record["EVENT"] in names]

    def log(self):
        return self.system.journal("-u", "mhad", "-o", "short-precise")
