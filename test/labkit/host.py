"""A host: a container with its own network, processes, mounts, name, sshd; and the switch between the hosts."""

import json
import os
import signal
import subprocess
import sys

from . import folder
from .errors import CommandFailed, LabError, Unavailable
from .folder import BUILD, REPOSITORY  # pylint: disable=unused-import
from .process import Process, all_pids, namespace, run, until
from .system import System

HOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "holder.py")
ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8",
               "HOME": "/run/home"}
PASSWD = "root:x:0:0:root:/run/home:/bin/bash\n"
SSHD = """\
Port {port}
ListenAddress {ip}
HostKey {folder}/host_key
AuthorizedKeysFile /run/authorized_keys
PidFile /run/sshd.pid
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitUserRC no
UseDNS no
MaxStartups 1000
MaxSessions 1000
LoginGraceTime 20
Subsystem sftp internal-sftp
"""


def holders_in(lab_folder):
    """The living holders of a lab, found by their arguments, recorded or not."""
    found = []
    for process in map(Process, all_pids()):
        script, spec = (["", "", *process.arguments()])[-2:]
        if script.endswith("/labkit/holder.py") and f'"{lab_folder}/pids/' in spec and process.alive():
            found.append(process)
    return found


class Holder:
    """The process that a set of namespaces lives and dies with."""

    def __init__(self, record):
        self.record = record

    def process(self):
        """The holder's init, or None if it never was or is dead."""
        try:
            with open(self.record, encoding="utf-8") as file:
                process = Process(**json.load(file))
        except FileNotFoundError:
            return None
        return process if process.alive() else None

    def start(self, name, binds=(), keep=(), full=True, system=None):
        spec = {"name": name, "record": self.record, "binds": list(binds), "keep": list(keep), "full": full,
                "system": system}
        try:
            done = run([sys.executable, "-I", "-S", HOLDER, json.dumps(spec)], timeout=20, env=ENVIRONMENT)
        except CommandFailed as error:
            raise (Unavailable if system else LabError)(f"host {name} did not start: {error}") from None
        if done.stdout != "ready\n" or not self.process():
            raise LabError(f"host {name} did not start: {done.stderr.strip()}")

    def kill(self):
        process = self.process()
        if process:
            process.kill()

    def command(self, arguments, only_network=False):
        process = self.process()
        if not process:
            raise LabError(f"{os.path.basename(self.record)[:-5]}: the host is off")
        kinds = ["--net"] if only_network else ["--mount", "--uts", "--ipc", "--net", "--pid"]
        return [folder.program("nsenter"), "--target", str(process.pid), *kinds, "--", *arguments]


class Switch:
    """The bridge, in a network namespace of its own; a port has the name of its host."""

    def __init__(self, lab_folder):
        self.holder = Holder(os.path.join(lab_folder, "pids", "switch.json"))

    def start(self):
        self.holder.start("switch", full=False)
        self._ip("link set lo up\n" + "".join(
            f"link add {name} type bridge stp_state 0 forward_delay 0 mcast_snooping 0\nlink set {name} up\n"
            for name in ("br0", "br1")))
        self._nft("""
            table bridge lab {
                set cut { type ifname; }
                set apart { type ifname . ifname; }
                chain forward {
                    type filter hook forward priority 0;
                    iifname @cut drop
                    oifname @cut drop
                    iifname . oifname @apart drop
                }
            }""")

    def plug(self, hosts):
        """Each with a link address that it keeps over a reboot, as hardware does: others remember it."""
        self._ip("".join(f"link add {port} type veth peer name eth{number} address {host.link_address(number)} "
                         f"netns {host.holder.process().pid}\n"
                         f"link set {port} master br{number} up\n"
                         for host in hosts for number, port in enumerate(host.ports())))

    def unplug(self, name):
        """The port of a host that died; the kernel would remove it, but some time later."""
        run(self.holder.command([folder.program("ip"), "link", "delete", name], True), check=False)

    def cut(self, name, other=None, heal=False):
        verb = "delete" if heal else "add"
        if other:
            self._nft(f'{verb} element bridge lab apart {{ "{name}" . "{other}", "{other}" . "{name}" }}')
        else:
            self._nft(f'{verb} element bridge lab cut {{ "{name}" }}')

    def heal(self, name, other=None):
        """Undo cut(); with no other, everything that was cut of this host."""
        ruleset = run(self.holder.command([folder.program("nft"), "-j", "list", "table", "bridge", "lab"], True))
        for entry in json.loads(ruleset.stdout)["nftables"]:
            for element in entry.get("set", {}).get("elem", []):
                pair = element["concat"] if isinstance(element, dict) else [element]
                if name in pair and (other is None or other in pair):
                    words = " . ".join(f'"{word}"' for word in pair)
                    self._nft(f'delete element bridge lab {entry["set"]["name"]} {{ {words} }}')

    def _ip(self, batch):
        run(self.holder.command([folder.program("ip"), "-batch", "-"], True), input=batch)

    def _nft(self, ruleset):
        run(self.holder.command([folder.program("nft"), "-f", "-"], True), input=ruleset)


class Host:
    """One host of a lab. Everything it keeps is in its folder; everything that runs in it dies with its holder."""

    def __init__(self, lab, name, number):
        self.lab = lab
        self.name = name
        self.number = number
        self.ip = lab.ip_of(number)
        self.ssh_ip = lab.ip_of(number, 78) if lab.settings["management"] else self.ip
        self.ssh_port = 2222 if lab.settings["management"] else 22
        self.folder = os.path.join(lab.folder, name)
        self.holder = Holder(os.path.join(lab.folder, "pids", f"{name}.json"))
        self.servers = []
        self.system = System(self) if name in lab.settings.get("systemd", ()) else None

    def __repr__(self):
        return f"Host({self.name})"

    # Life

    def prepare(self):
        """Make the folder and the host's key."""
        os.mkdir(self.folder, 0o700)
        folder.write(f"{self.folder}/sshd_config", SSHD.format(
            folder=self.folder, lab=self.lab.folder, port=self.ssh_port,
            ip=self.ssh_ip if self.lab.settings["management"] else "::" if self.lab.settings["ipv6"] else "0.0.0.0"))
        run([folder.program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f",
             f"{self.folder}/host_key"])
        for server in self.servers:
            os.mkdir(server.data, 0o700)
        if self.system:
            self.system.prepare()

    def boot(self):
        """Make the namespaces. The host has no network and runs nothing yet."""
        if self.system:
            binds = self.system.binds()
        else:
            names = ["hosts", "passwd", "shadow", *(["sudoers"] if self.lab.settings["ssh_user"] != "root" else [])]
            binds = [(f"{self.lab.folder}/etc/{name}", f"/etc/{name}") for name in names]
        binds += [(server.data, server.inside) for server in self.servers]
        self.holder.start(self.name, binds, keep=self.lab.kept_folders(), system=self.system and self.system.spec())

    @property
    def server(self):
        """The only server, or the first."""
        return self.servers[0] if self.servers else None

    def names(self):
        """What it is called where clients look for it."""
        return [self.ip, self.name, f"{self.name}-both"]

    def ports(self):
        """Its ports of the switch: eth0's, and eth1's on the network of the management."""
        return [self.name, f"{self.name}-m"] if self.lab.settings["management"] else [self.name]

    def link_address(self, interface=0):
        return f"02:6d:0a:{77 + interface:02x}:{self.lab.settings['net']:02x}:{self.number:02x}"

    def start_network(self, addresses=()):
        """Address and sshd, once the switch has plugged the host in."""
        rest = f"/{self.lab.prefix} dev eth0" + " nodad" * self.lab.settings["ipv6"]
        lines = ["link set lo up", "link set eth0 up", f"addr add {self.ip}{rest}"]
        lines += [f"addr add {address}{rest}" for address in addresses]
        if self.lab.settings["management"]:
            lines += ["link set eth1 up", f"addr add {self.ssh_ip}{rest.replace('eth0', 'eth1')}"]
        run(self.holder.command([folder.program("ip"), "-batch", "-"], True), input="\n".join(lines) + "\n")
        if self.system:
            self.system.wait_booted()
        with open(f"{self.lab.folder}/ssh_key.pub", encoding="utf-8") as key:
            folder.write(f"/proc/{self.holder.process().pid}/root/run/authorized_keys", key.read(), 0o644)
        self.spawn([self.lab.sshd, "-f", f"{self.folder}/sshd_config", "-E", f"{self.folder}/sshd.log"], "sshd.out")

    def running(self):
        return self.holder.process() is not None

    def power_off(self):
        """The whole host dies at once, as by a pulled plug."""
        self.lab.note_fault(f"{self.name} powered off")
        self.holder.kill()

    def power_on(self):
        """Start the host again on its disk; its server is started, its virtual address is not."""
        for port in self.ports():
            self.lab.switch.unplug(port)
        self.boot()
        self.lab.switch.plug([self])
        self.start_network()
        for server in self.servers:
            server.start()

    def reboot(self):
        self.power_off()
        self.power_on()

    # Commands in it

    def command(self, *arguments):
        return self.holder.command(list(map(str, arguments)))

    def run(self, *arguments, timeout=30, check=True, **options):
        """Run a command in the host and give its CompletedProcess (text)."""
        command = self.command(folder.program("timeout"), "-k", "1", timeout, *arguments)
        return run(command, timeout=timeout + 5, check=check, env=ENVIRONMENT, **options)

    def spawn(self, arguments, log, environment=None):
        """Start a daemon of the host: nothing of it stays outside."""
        with open(f"{self.folder}/{log}", "ab") as output:
            subprocess.run(self.command(folder.program("setsid"), "-f", *arguments), stdin=subprocess.DEVNULL,
                           stdout=output, stderr=output, env={**ENVIRONMENT, **(environment or {})}, timeout=20,
                           check=True)

    def popen(self, arguments, environment=None, **options):
        """Start a child of ours in the host; it gets no Ctrl-C of our terminal."""
        return subprocess.Popen(self.command(*arguments), env={**ENVIRONMENT, **(environment or {})},
                                start_new_session=True, **options)

    def processes(self, name=None):
        """The living processes of the host, its init left out."""
        init = self.holder.process()
        if not init:
            return []
        inside = namespace(init.pid, "pid")
        found = [Process(pid) for pid in all_pids() if pid != init.pid and namespace(pid, "pid") == inside]
        return [process for process in found if process.alive() and (name is None or process.name() == name)]

    def send_signal(self, name, number):
        """Send a signal to every process of that name; how many got it."""
        return sum(process.signal(number) for process in self.processes(name))

    def end(self, name, number=signal.SIGKILL, timeout=10):
        """Signal the processes of that name and wait for their end."""
        found = self.processes(name)
        for process in found:
            process.signal(number)
        for process in found:
            process.wait(timeout)

    # Its network

    def cut(self, other=None):
        """Let packets vanish silently: all of them, or only those from and to another host."""
        self.lab.note_fault(f"{self.name} cut off" + (f" from {other}" if other else ""))
        for port in self.ports():
            self.lab.switch.cut(port, other)

    def heal(self, other=None):
        for port in self.ports():
            self.lab.switch.heal(port, other)

    def latency(self, milliseconds):
        """Hold every packet back in both directions (0: no longer); LabError if the kernel has no netem."""
        for command, interface in ((self.holder.command, "eth0"), (self.lab.switch.holder.command, self.name)):
            tc = [folder.program("tc"), "qdisc"]
            run(command([*tc, "del", "dev", interface, "root"], True), check=False)
            if milliseconds:
                run(command([*tc, "add", "dev", interface, "root", "netem", "delay", f"{milliseconds / 2}ms"], True))

    def addresses(self):
        family = "-6" if self.lab.settings["ipv6"] else "-4"
        listed = json.loads(self.run("ip", "-j", family, "addr", "show", "scope", "global").stdout)
        return [address["local"] for link in listed if link.get("ifname") == "eth0" for address in link["addr_info"]
                if "local" in address]

    def add_address(self, ip):
        """Bring an address up here and tell the neighbours, as a manager would."""
        self.run("ip", "addr", "add", f"{ip}/{self.lab.prefix}", "dev", "eth0", check=False)
        if not self.lab.settings["ipv6"]:
            self.run(sys.executable, "-I", "-c", _ANNOUNCE, ip)

    def drop_address(self, ip):
        self.run("ip", "addr", "del", f"{ip}/{self.lab.prefix}", "dev", "eth0", check=False)

    def ssh_ready(self):
        return os.path.exists(f"{self.folder}/sshd.log") and until(
            lambda: "Server listening" in open(f"{self.folder}/sshd.log", encoding="utf-8").read(), 10,
            f"sshd of {self.name}")


_ANNOUNCE = """
import fcntl, socket, struct, sys
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind(("eth0", 0x0806))
mac = fcntl.ioctl(wire, 0x8927, struct.pack("16s16x", b"eth0"))[18:24]
ip = socket.inet_aton(sys.argv[1])
body = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1) + mac + ip + b"\\0" * 6 + ip
wire.send(b"\\xff" * 6 + mac + struct.pack("!H", 0x0806) + body)
"""
