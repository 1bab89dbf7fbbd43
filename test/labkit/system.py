"""systemd as the init of a host: on a root laid over the machine's own, in a control group of its own. What the host
changes stays in its folder, and of the machine's services none is started in it."""

import os
import stat
import uuid

from . import folder
from .errors import LabError, Unavailable
from .process import run, until

UNITS = "/lib/systemd/system"
# Of what systemd's own packages want at boot; all else is masked, whatever is installed on the machine. Above all
# systemd-tmpfiles-setup, which empties /tmp, where a folder of the machine may be mounted.
WANTED = {"systemd-journald.service", "systemd-journald.socket", "systemd-journald-dev-log.socket",
          "systemd-journal-flush.service"}
# The machine may have these; a host begins without.
ABSENT = ("etc/mhad", "usr/sbin/policy-rc.d", "var/lib/mhad")

MARIADB = """\
[Unit]
Description=MariaDB of the lab
After=network.target

[Service]
Type=notify
ExecStart={command} --defaults-file={data}/my.cnf
SendSIGKILL=no
Restart=on-abnormal
RestartSec={restart}
TimeoutStartSec=120

[Install]
WantedBy=multi-user.target
"""


class System:
    """The part of a host that knows systemd."""

    def __init__(self, host):
        self.host = host
        self.folder = f"{host.folder}/system"
        self.upper = f"{self.folder}/upper"

    # Life

    def prepare(self):
        if not os.access("/lib/systemd/systemd", os.X_OK):
            raise Unavailable("systemd is not installed here")
        for name in ("upper", "work", "root", "journal"):
            os.makedirs(f"{self.folder}/{name}")
        self._write("etc/machine-id", uuid.uuid4().hex + "\n")
        self._write("etc/hostname", f"{self.host.name}\n")
        self._write("etc/fstab", "")
        names = [("hosts", 0o644), ("passwd", 0o644), ("shadow", 0o600)]
        if self.host.lab.settings["ssh_user"] != "root":
            names.append(("sudoers", 0o440))
        for name, mode in names:
            with open(f"{self.host.lab.folder}/etc/{name}", encoding="utf-8") as file:
                self._write(f"etc/{name}", file.read(), mode)
        os.makedirs(f"{self.upper}/etc/systemd/system")
        os.setxattr(f"{self.upper}/etc/systemd", "trusted.overlay.opaque", b"y")
        self._mask()
        for path in ABSENT:
            if os.path.lexists(f"/{path}"):
                os.makedirs(os.path.dirname(f"{self.upper}/{path}"), exist_ok=True)
                os.mknod(f"{self.upper}/{path}", stat.S_IFCHR, 0)  # how overlayfs says that it is not there

    def _mask(self):
        units = f"{self.upper}/etc/systemd/system"
        os.symlink(f"{UNITS}/multi-user.target", f"{units}/default.target")
        wishes = {name for place in os.listdir(UNITS) if place.endswith((".wants", ".requires"))
                  for name in os.listdir(f"{UNITS}/{place}") if not name.endswith(".target")}
        for name in wishes - WANTED:
            os.symlink("/dev/null", f"{units}/{name}")
        os.mkdir(f"{self.upper}/etc/systemd/system-generators")
        for name in os.listdir("/lib/systemd/system-generators"):
            os.symlink("/dev/null", f"{self.upper}/etc/systemd/system-generators/{name}")

    def _write(self, path, text, mode=0o644):
        os.makedirs(os.path.dirname(f"{self.upper}/{path}"), exist_ok=True)
        folder.write(f"{self.upper}/{path}", text, mode)

    def spec(self):
        """What the holder has to know. The control group is below ours, wherever the machine's systemd has put us."""
        cgroup = f"{own_cgroup()}/mhad-lab-{self.host.lab.id}-{self.host.name}"
        folder.write(f"{self.folder}/cgroup", cgroup)
        self.remove_cgroup()
        return {"cgroup": cgroup, **{name: f"{self.folder}/{name}" for name in ("upper", "work", "root")}}

    def binds(self):
        return [(f"{self.folder}/journal", "/var/log/journal")]

    def wait_booted(self, timeout=60):
        """Until nothing is being started any more."""
        until(lambda: os.path.exists(f"{self.root()}/run/systemd/private"), timeout, f"systemd of {self.host.name}")
        state = self.host.run("systemctl", "is-system-running", "--wait", check=False, timeout=timeout).stdout.strip()
        if state != "running":
            failed = self.host.run("systemctl", "--failed", "--no-pager", check=False).stdout
            raise LabError(f"{self.host.name}: systemd is {state}\n{failed}\n{self.journal()}")

    def root(self):
        """The root of the host, seen from here."""
        return f"/proc/{self.host.holder.process().pid}/root"

    def remove_cgroup(self):
        """After the end of all that was in it."""
        try:
            with open(f"{self.folder}/cgroup", encoding="utf-8") as file:
                cgroup = file.read()
        except FileNotFoundError:
            return
        until(lambda: remove_tree(cgroup), 10, f"removing {cgroup}")

    # Use

    def ctl(self, *arguments, timeout=60, check=True):
        """systemctl; its CompletedProcess."""
        return self.host.run("systemctl", "--no-pager", *arguments, timeout=timeout, check=check)

    def show(self, unit, *properties):
        """The values of properties of a unit; one alone is no list."""
        lines = self.ctl("show", "--timestamp=us", *(f"-p{name}" for name in properties), unit).stdout.splitlines()
        found = dict(line.split("=", 1) for line in lines)
        return found[properties[0]] if len(properties) == 1 else [found[name] for name in properties]

    def drop_in(self, unit, name, text):
        """Change a unit (text None: no longer) and let systemd know."""
        path = f"{self.root()}/etc/systemd/system/{unit}.d/{name}.conf"
        if text is None:
            os.unlink(path)
        else:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            folder.write(path, text, 0o644)
        self.ctl("daemon-reload")

    def add_unit(self, name, text):
        folder.write(f"{self.root()}/etc/systemd/system/{name}", text, 0o644)
        self.ctl("daemon-reload")

    def journal(self, *arguments):
        """What journalctl says, from outside: also of a host that is off."""
        command = [folder.program("journalctl"), "--no-pager", "-q", "-D", f"{self.folder}/journal", *arguments]
        return run(command).stdout


def own_cgroup():
    """Our place in the unified hierarchy, which a machine may have beside the older ones."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        mounts = [line.split() for line in file]
    points = [words[4] for words in mounts if words[words.index("-") + 1] == "cgroup2" and words[3] == "/"]
    with open("/proc/self/cgroup", encoding="utf-8") as file:
        place = next((line[3:].rstrip("\n") for line in file if line.startswith("0::")), None)
    if not points or place is None or not os.access(points[0] + place, os.W_OK):
        raise Unavailable("no unified control group here that we may make others in")
    return (points[0] + place).rstrip("/")


def remove_tree(path):
    """Whether a control group and those below it, all empty, are gone."""
    try:
        for place, _, _ in os.walk(path, topdown=False):
            os.rmdir(place)
    except OSError:
        return False
    return not os.path.exists(path)
