"""A lab: some hosts on a bridge, a database cluster or two on them, all in one folder."""

import concurrent.futures
import ipaddress
import json
import os
import re
import signal
import time

from . import flavours, folder
from .errors import CommandFailed, LabError, Unavailable
from .host import BUILD, PASSWD, REPOSITORY, Host, Switch, holders_in
from .mhad import MhadMixin
from .process import run, until
from .server import Server

APP_TABLE = """CREATE TABLE app.writes (id BIGINT PRIMARY KEY, payload VARCHAR(200) NOT NULL,
    ts DATETIME(6) NOT NULL) ENGINE=InnoDB"""
OPERATOR = 4712  # user and group of who comes by SSH and is not root
DEFAULTS = {
    "flavour": "mariadb",  # mariadb, mysql56, mysql9, mariadb11, mariadb105
    "mode": "gtid",  # position, gtid (MariaDB: slave_pos), current_pos (MariaDB only)
    "replicas": 2,
    "topology": "star",  # star, chain
    "clusters": 1,
    "hosts": 0,  # so many, and the servers are dealt to them in turn; 0: one each
    "ipv6": False,  # the hosts have IPv6 addresses and no others
    "management": False,  # sshd listens on a network of its own, on another port
    "semisync": False,
    "address": True,  # the primary has the virtual address
    "start_writable": "primary",  # whose my.cnf has no read_only: the first primary's only, "all", "none"
    # Or another than root, whom sudo lets run what etc/sudoers.example says, and no more.
    "ssh_user": os.environ.get("MHAD_LAB_SSH_USER", "root"),
    "supervised": None,  # milliseconds after which an ended server is started again
    "systemd": [],  # the hosts that systemd runs: their server is its service
    "options": {},  # more lines for every my.cnf
}


def living_labs():
    """The ids of all labs that have a folder, living or crashed."""
    root = folder.base()
    return sorted(name for name in os.listdir(root) if os.path.isfile(f"{root}/{name}/lab.json"))


def down_all():
    """Take every lab down, whoever made it; gives the ids."""
    labs = living_labs()
    for lab_id in labs:
        Lab.open(lab_id).down()
    with folder.locked(f"{folder.base()}/.lock"):
        sweep()
    return labs


def sweep():
    """Remove what labs have left that were interrupted while they claimed a folder. The base must be locked."""
    root = folder.base()
    for name in os.listdir(root):
        if name.startswith(".new-"):
            folder.remove(f"{root}/{name}")


class Cluster:
    """One replication cluster of a lab; its first server is the primary at the start."""

    def __init__(self, name, address):
        self.name = name
        self.address = address
        self.servers = []

    @property
    def primary(self):
        return self.servers[0]

    @property
    def replicas(self):
        return self.servers[1:]


class Lab(MhadMixin):
    """Lab.up() makes one, Lab.open() finds one again; both may be used in a with statement."""

    def __init__(self, lab_id, settings):
        self.id = lab_id
        self.settings = settings
        self.folder = os.path.join(folder.base(), lab_id)
        self.flavour = flavours.flavour_named(settings["flavour"])
        self.mode = settings["mode"]
        self.sshd = settings["sshd"]
        self.switch = Switch(self.folder)
        self.hosts = {}
        self.clusters = []
        self.last_fault = None
        self._make_objects()

    def _make_objects(self):
        per_cluster = self.settings["replicas"] + 1
        for index in range(self.settings["clusters"]):
            cluster = Cluster(f"app{index + 1}", self.ip_of(100 + index))
            for number in range(index * per_cluster + 1, (index + 1) * per_cluster + 1):
                place = (number - 1) % self.settings["hosts"] + 1 if self.settings["hosts"] else number
                host = self.hosts.get(f"db{place}") or self._add_host(f"db{place}", place)
                server = Server(host, number, self.flavour, self.mode, cluster, self.settings["supervised"],
                                self._server_options(first=not cluster.servers))
                host.servers.append(server)
                cluster.servers.append(server)
            self.clusters.append(cluster)
        self.mgr = self._add_host("mgr", 250)
        self.client = self._add_host("client", 251)

    def _server_options(self, first):
        options = dict(self.settings["options"])
        if self.settings["semisync"]:
            options = {**self.flavour.semisync_options(), **options}
        if self.settings["start_writable"] != "all" and not (first and self.settings["start_writable"] == "primary"):
            options["read_only"] = 1
        return options

    def _add_host(self, name, number):
        self.hosts[name] = Host(self, name, number)
        return self.hosts[name]

    @property
    def prefix(self):
        return 64 if self.settings["ipv6"] else 24

    def ip_of(self, number, network=77):
        """The address of a host on the network of the clients (77) or that of the management (78)."""
        if self.settings["ipv6"]:
            return f"fd00:{network}:{self.settings['net']}::{number}"
        return f"10.{network}.{self.settings['net']}.{number}"

    # Finding things

    def __getitem__(self, name):
        """The server of that name."""
        found = next((server for server in self.servers if server.name == name), None)
        if not found:
            raise LabError(f"no server {name!r}; there are {', '.join(server.name for server in self.servers)}")
        return found

    def host(self, name):
        """The host of that name, or of the server of that name."""
        if name in (server.name for server in self.servers):
            return self[name].host
        if name not in self.hosts:
            raise LabError(f"no host {name!r}; there are {', '.join(self.hosts)}")
        return self.hosts[name]

    @property
    def servers(self):
        return [server for cluster in self.clusters for server in cluster.servers]

    @property
    def primary(self):
        return self.clusters[0].primary

    @property
    def replicas(self):
        return self.clusters[0].replicas

    @property
    def address(self):
        return self.clusters[0].address

    def kept_folders(self):
        return [REPOSITORY, BUILD, self.folder, folder.cache()]

    def note_fault(self, what):
        """Remember when something is broken, just before it is: writers measure from the last of these."""
        self.last_fault = {"mono": time.monotonic(), "what": what}
        if os.path.isdir(self.folder):
            folder.write(f"{self.folder}/fault.json", json.dumps(self.last_fault))

    # Life

    @classmethod
    def up(cls, lab_id=None, **settings):
        """Make a lab and wait until its clusters replicate."""
        unknown = set(settings) - set(DEFAULTS)
        if unknown:
            raise LabError(f"no such setting: {', '.join(sorted(unknown))}")
        settings = {**DEFAULTS, **settings}
        _check(settings)
        settings["sshd"] = flavours.fetch_sshd()
        flavour = flavours.flavour_named(settings["flavour"])
        flavour.fetch()
        if settings["semisync"]:
            flavour.semisync_options()  # Unavailable, before anything is made
        settings["version"] = flavour.version()
        template = make_template(flavour)
        lab = cls._claim(lab_id, settings)
        try:
            lab._build(template)
        except BaseException:
            lab.down()
            raise
        return lab

    @classmethod
    def open(cls, lab_id):
        """The lab of that id, made earlier, perhaps by another process."""
        if not re.fullmatch(r"[\w.-]{1,30}", lab_id) or lab_id not in living_labs():
            raise LabError(f"no lab {lab_id!r}; there are: {', '.join(living_labs()) or 'none'}")
        with open(os.path.join(folder.base(), lab_id, "lab.json"), encoding="utf-8") as file:
            lab = cls(lab_id, json.load(file))
        try:
            with open(f"{lab.folder}/fault.json", encoding="utf-8") as file:
                lab.last_fault = json.load(file)
        except (FileNotFoundError, ValueError):
            pass
        return lab

    @classmethod
    def _claim(cls, lab_id, settings):
        """Take a free net and make the folder, with the manifest in it, before anything else is made."""
        root = folder.base()
        with folder.locked(f"{root}/.lock"):
            taken = set()
            for other in living_labs():
                with open(f"{root}/{other}/lab.json", encoding="utf-8") as file:
                    taken.add(json.load(file)["net"])
            settings["net"] = next((net for net in range(1, 255) if net not in taken and _unused(net)), None)
            if settings["net"] is None:
                raise LabError("no free network in 10.77.0.0/16")
            lab_id = lab_id or f"lab{settings['net']}"
            if not re.fullmatch(r"\w[\w.-]{0,29}", lab_id):
                raise LabError(f"{lab_id!r}: not an id")
            if os.path.lexists(f"{root}/{lab_id}"):
                raise LabError(f"there is a lab {lab_id!r} already: test/lab down {lab_id}")
            building = f"{root}/.new-{lab_id}"
            sweep()
            os.mkdir(building, 0o700)
            for name in ("pids", "etc"):
                os.mkdir(f"{building}/{name}", 0o700)
            folder.write(f"{building}/lab.json", json.dumps({"id": lab_id, **settings}, indent=1) + "\n")
            os.rename(building, f"{root}/{lab_id}")
        return cls(lab_id, settings)

    def _build(self, template):
        started = time.monotonic()
        self._write_files()
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            switch = pool.submit(self.switch.start)
            hosts = list(pool.map(lambda host: self._prepare(host, template), self.hosts.values()))
            switch.result()
            self.switch.plug(hosts)
            list(pool.map(self._start_host, hosts))
            list(pool.map(self._set_up_cluster, self.clusters))
            list(pool.map(Host.ssh_ready, hosts))
        self.seconds_up = time.monotonic() - started

    def _write_files(self):
        names = "".join(f"{host.ip} {host.name}\n" for host in self.hosts.values())
        if self.settings["ipv6"]:  # names of both families, of which only one is of use
            names += "".join(f"{host.ip} {host.name}-both\n10.77.{self.settings['net']}.{host.number} {host.name}-both\n"
                             for host in self.hosts.values())
        folder.write(f"{self.folder}/etc/hosts", f"127.0.0.1 localhost\n{names}", 0o644)
        with open("/etc/passwd", encoding="utf-8") as file:
            users = [line for line in file if not line.startswith("root:")]
        if not any(line.startswith("sshd:") for line in users):
            users.append("sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n")
        shadow = "root:*:19000:0:99999:7:::\n"
        if self.settings["ssh_user"] != "root":
            users.append(f"{self.settings['ssh_user']}:x:{OPERATOR}:{OPERATOR}::/tmp:/bin/sh\n")
            shadow += f"{self.settings['ssh_user']}:*:19000:0:99999:7:::\n"
            folder.write(f"{self.folder}/etc/sudoers", self._sudoers(), 0o440)
        folder.write(f"{self.folder}/etc/passwd", PASSWD + "".join(users), 0o644)
        folder.write(f"{self.folder}/etc/shadow", shadow)
        run([folder.program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", f"lab {self.id}", "-f",
             f"{self.folder}/ssh_key"])

    def _sudoers(self):
        """The example that is installed, with the lab's addresses and a command where nothing else can stop a server."""
        if not os.path.exists("/usr/bin/sudo"):
            raise Unavailable("sudo is not installed here")
        with open(f"{REPOSITORY}/etc/sudoers.example", encoding="utf-8") as file:
            text = file.read()
        lines = re.split(r"(?<=[^\\])\n", text)
        moves = next(line for line in lines if line.startswith("Cmnd_Alias MHAD_ADDRESS"))
        commands = moves.partition(" = ")[2]
        ours = ", \\\n".join(commands.replace("10.0.0.100", cluster.address) for cluster in self.clusters)
        text = text.replace(commands, ours).replace("mhad ALL=", f"{self.settings['ssh_user']} ALL=")
        text = text.replace("Defaults:mhad", f"Defaults:{self.settings['ssh_user']}")
        return f"{text}{self.settings['ssh_user']} ALL=(root) NOPASSWD: /run/lab/stop-database\n"

    def _prepare(self, host, template=None):
        host.prepare()
        for server in host.servers:
            if template:
                with folder.locked(template + ".lock", shared=True):
                    folder.copy(f"{template}/.", server.data)
            server.write_config()
            if self.settings["ssh_user"] != "root":
                server.share(OPERATOR)
        host.boot()
        return host

    def _start_host(self, host):
        mine = [cluster.address for cluster in self.clusters
                if self.settings["address"] and cluster.primary.host is host]
        host.start_network(mine)
        for server in host.servers:
            server.start()

    def _set_up_cluster(self, cluster):
        primary = cluster.primary
        semisync = self.settings["semisync"]
        for server in cluster.servers:
            if semisync:
                server.set_semisync(server is primary)
            server.set_read_only(server is not primary)
        for index, replica in enumerate(cluster.replicas):
            chained = self.settings["topology"] == "chain"
            replica.follow(cluster.servers[index] if chained else primary)
        primary.sql("CREATE DATABASE app", APP_TABLE)
        for replica in cluster.replicas:
            until(replica.replicating, 20, f"{replica.name}: replication")
            until(lambda: replica.sql("SHOW DATABASES LIKE 'app'") and replica.sql("SHOW TABLES FROM app"), 20,
                  f"{replica.name}: the first table")

    def down(self):
        """End every process of the lab and remove its folder; Ctrl-C waits until that is done."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            holders = [host.holder.process() for host in self.hosts.values()] + [self.switch.holder.process()]
            for process in filter(None, holders):
                process.signal(signal.SIGKILL)
            for process in filter(None, holders):
                process.wait(60)
            for host in self.hosts.values():
                if host.system:
                    host.system.remove_cgroup()
            if self.mhad:
                self.mhad.wait(10)
            until(self._removed, 20, f"removing {self.folder}", 0.1)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _removed(self):
        """Whether all is gone; commands of a lab that crashed while it was made may still be adding to it."""
        stragglers = holders_in(self.folder)
        for process in stragglers:
            process.kill()
        try:
            with folder.locked(os.path.join(folder.base(), ".lock")):
                folder.remove(self.folder)
        except CommandFailed:
            return False
        return not stragglers

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.down()

    # What is going on

    def describe(self):
        """One line a host, for people."""
        lines = [f"lab {self.id}: {self.flavour.name} {self.settings['version']}, {self.mode}, "
                 f"{self.settings['topology']}, net {self.ip_of(0)}/{self.prefix}, in {self.folder}"]
        for host in self.hosts.values():
            words = [f"  {host.name:7}{host.ip:15}"]
            if not host.running():
                words.append("off")
            elif len(host.servers) == 1:
                words.append(_describe_server(host.servers[0]))
            if host.running():
                words += [f"has {ip}" for ip in host.addresses() if ip != host.ip]
            lines.append(" ".join(words))
            if host.running() and len(host.servers) > 1:
                lines += [f"    {server.name:5}port {server.port:<10} {_describe_server(server)}"
                          for server in host.servers]
        return "\n".join(lines)


def _describe_server(server):
    states = {process.state() for process in server.processes()}
    if not states:
        return "down"
    if "T" in states:
        return "frozen"
    try:
        status = server.status()
        role = f"follows {status['source']} io={status['io']} sql={status['sql']}" if status else "no replica"
        return f"up   {'writable ' if server.writable() else 'read-only'} {role}"
    except Exception as error:  # pylint: disable=broad-except
        return f"up, but: {error}"


def _check(settings):
    if settings["mode"] not in ("position", "gtid", "current_pos"):
        raise LabError(f"no mode {settings['mode']!r}; there are position, gtid, current_pos")
    if settings["mode"] == "current_pos" and flavours.flavour_named(settings["flavour"]).like != "mariadb":
        raise LabError("current_pos is MariaDB's only")
    if settings["topology"] not in ("star", "chain"):
        raise LabError(f"no topology {settings['topology']!r}; there are star, chain")
    if settings["start_writable"] not in ("primary", "all", "none"):
        raise LabError(f"start_writable {settings['start_writable']!r}; there are primary, all, none")
    if not 1 <= settings["replicas"] <= 5 or not 1 <= settings["clusters"] <= 8:
        raise LabError("1 to 5 replicas, 1 to 8 clusters")
    if settings["hosts"] and settings["systemd"]:
        raise LabError("systemd runs one server a host: no hosts=")


def _unused(net):
    """No route of the machine goes there."""
    ours = ipaddress.ip_network(f"10.77.{net}.0/24")
    routes = json.loads(run([folder.program("ip"), "-j", "-4", "route", "show", "table", "all"]).stdout or "[]")
    return not any(ours.overlaps(ipaddress.ip_network(route["dst"], strict=False))
                   for route in routes if route.get("dst", "default") != "default")


def _old(path):
    """Nobody has begun with it for a day; another version of this repository may use it at the same time."""
    return time.time() - os.stat(path).st_mtime > 86400


def make_template(flavour):
    """A cached data directory with the accounts, no binary log and no identity; its path."""
    root = folder.cache()
    prefix = f"{root}/template-{flavour.name}-"
    template = prefix + flavour.template_key()
    with folder.locked(f"{root}/template-{flavour.name}.build.lock"):
        if os.path.isdir(template):
            os.utime(template)
            return template
        settings = {**DEFAULTS, "flavour": flavour.name, "mode": "position", "replicas": 0, "clusters": 1,
                    "options": {"skip_networking": 1},
                    "sshd": "", "version": flavour.version()}
        with Lab._claim(f"template-{os.getpid()}", settings) as lab:
            _fill_template(lab, template + ".new")
        for left in os.listdir(root):
            path = f"{root}/{left}"
            if path.startswith(prefix) and os.path.isdir(path) and path != template + ".new" and _old(path):
                with folder.locked(path + ".lock"):
                    folder.remove(path)
                    os.unlink(path + ".lock")
        os.rename(template + ".new", template)
    return template


def _fill_template(lab, target):
    server = lab.primary
    lab._write_files()
    lab._prepare(server.host)
    server.flavour.initialise(server.host)
    server.start()
    server.make_accounts()
    server.stop()
    for name in os.listdir(server.data):
        if re.match(r"(binlog\.|relay|auto\.cnf|mysqld\.|my\.cnf|ibtmp|ib_buffer_pool|aria_log\.)", name) \
                and not name.startswith("aria_log."):
            os.unlink(f"{server.data}/{name}")
    if os.path.isdir(target):
        folder.remove(target)
    folder.copy(server.data, target, sparse="always")
