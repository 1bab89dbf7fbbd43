"""A database server on a host of the lab."""

import os
import re
import signal
import stat

import pymysql
import pymysql.cursors

from . import folder
from .errors import LabError
from .flavours import DATA
from .process import until
from .system import MARIADB

# Beside those of mhad-privileges(7): the lab's own, and that of applications.
ACCOUNTS = {
    "lab": ("localhost", "lab-pw", "ALL PRIVILEGES ON *.*", "WITH GRANT OPTION"),
    "app": ("%", "app-pw", "ALL PRIVILEGES ON app.*", ""),
}
PING_GRANT = "GRANT CREATE, INSERT, UPDATE, DELETE ON infra.* TO 'mhad'@'%'"
START_TIMEOUT = 60
ER_ACCESS_DENIED = 1045

SUPERVISE = """\
#!/bin/sh
# Keep a server running: supervise SECONDS COMMAND... starts it again SECONDS after its end.
pause=$1
shift
echo $$ >/run/lab/supervisor-{port}.pid
while :; do
    rm -f {data}/mysqld.sock {data}/mysqld.sock.lock {data}/mysqld.pid
    "$@"
    sleep "$pause"
done
"""
STOP_DATABASE = """\
#!/bin/sh
# What "systemctl stop" is elsewhere: the server of that port ends and nothing starts it again.
port=${{MHAD_PORT:-3306}}
data=$(cat /run/lab/data-$port) || exit 1
if [ -s /run/lab/supervisor-$port.pid ]; then
    kill -9 "$(cat /run/lab/supervisor-$port.pid)" 2>/dev/null
    rm -f /run/lab/supervisor-$port.pid
fi
for signal in TERM KILL; do
    pkill -$signal -f "^[^ ]*{name} --defaults-file=$data/my.cnf"
    for i in $(seq 20); do
        pgrep -f "^[^ ]*{name} --defaults-file=$data/my.cnf" >/dev/null || exit 0
        sleep 0.1
    done
done
exit 1
"""


class Server:
    def __init__(self, host, server_id, flavour, mode, cluster, supervised=None, options=None):
        self.host = host
        self.name = f"db{server_id}"
        self.ip = host.ip
        self.port = 3306 + len(host.servers)
        self.id = server_id
        self.flavour = flavour
        self.mode = mode
        self.cluster = cluster
        self.supervised = supervised
        self.extra_options = options or {}
        alone = not host.servers  # the first, or the only one
        self.data = f"{host.folder}/data" if alone else f"{host.folder}/data-{self.name}"
        self.inside = DATA if alone else f"{DATA}-{self.name}"  # the same in the host

    def __repr__(self):
        return f"Server({self.name})"

    # Life

    def share(self, group):
        """Let that group read the data directory and what will be made in it, as the server's own group elsewhere."""
        for place, _, names in os.walk(self.data):
            os.chown(place, -1, group)
            os.chmod(place, 0o2750)
            for name in names:
                os.chown(f"{place}/{name}", -1, group)

    def write_config(self):
        ours = {"server_id": self.id, "report_host": self.ip, "report_port": self.port, "port": self.port,
                "datadir": self.inside, "socket": f"{self.inside}/mysqld.sock", "pid_file": f"{self.inside}/mysqld.pid",
                "log_error": f"{self.inside}/mysqld.err"}
        if self.host.lab.settings["ipv6"]:
            ours["bind_address"] = "::"
        options = {**self.flavour.options(self.mode), **ours, **self.extra_options}
        lines = "".join(f"{name}={value}\n" for name, value in options.items())
        folder.write(f"{self.data}/my.cnf", f"[mysqld]\n{lines}")

    def start(self, wait=True):
        """Start on the data that is there, as after a crash."""
        if self.running():
            raise LabError(f"{self.name}: the server is running")
        for name in ("mysqld.sock", "mysqld.sock.lock", "mysqld.pid"):
            if os.path.lexists(f"{self.data}/{name}"):
                os.unlink(f"{self.data}/{name}")
        self._write_scripts()
        self.flavour.prepare_host(self.host)
        if self.host.system:
            self._start_unit(wait)
            return
        command = [*self.flavour.command(), f"--defaults-file={self.inside}/my.cnf"]
        if self.supervised is not None:
            command = [self._supervisor, f"{self.supervised / 1000:.3f}", *command]
        self.host.spawn(command, f"{self.name}.out", self.flavour.environment())
        if wait:
            self.wait_ready()

    def _start_unit(self, wait):
        """As the distribution's own unit does it."""
        system = self.host.system
        restart = "5s" if self.supervised is None else f"{self.supervised}ms"
        system.add_unit("mariadb.service", MARIADB.format(command=self.flavour.command()[0], data=DATA,
                                                          restart=restart))
        system.ctl("enable", "mariadb")
        system.ctl("start", *(() if wait else ("--no-block",)), "mariadb")
        if wait:
            self.wait_ready()

    def _write_scripts(self):
        inside = f"/proc/{self.host.holder.process().pid}/root/run/lab"
        os.makedirs(inside, exist_ok=True)
        words = {"data": self.inside, "name": self.flavour.process_name, "port": self.port}
        folder.write(f"{inside}/data-{self.port}", f"{self.inside}\n")
        folder.write(f"{inside}/{os.path.basename(self._supervisor)}", SUPERVISE.format(**words), stat.S_IRWXU)
        folder.write(f"{inside}/stop-database", STOP_DATABASE.format(**words), stat.S_IRWXU)

    def wait_ready(self, timeout=START_TIMEOUT):
        missed = 0

        def ready():
            nonlocal missed
            try:
                return self.value("SELECT 1") == 1
            except pymysql.MySQLError as error:
                if error.args[0] == ER_ACCESS_DENIED:
                    return True
                missed = 0 if self.supervised is not None or self.running() else missed + 1
                if missed > 20:
                    raise LabError(f"{self.name}: the server ended at its start:\n{self.log_tail()}") from None
                return False

        try:
            until(ready, timeout, f"{self.name}: SQL", 0.02)
        except LabError as error:
            raise LabError(f"{error}\n{self.log_tail()}") from None

    def log_tail(self, lines=20):
        text = ""
        for path in (f"{self.host.folder}/{self.name}.out", f"{self.data}/mysqld.err"):
            if os.path.exists(path):
                with open(path, encoding="utf-8", errors="replace") as file:
                    text += "".join(file.readlines()[-lines:])
        return text

    def processes(self):
        """Its own, of all that the host may have."""
        mine = f"--defaults-file={self.inside}/my.cnf"
        return [process for process in self.host.processes(self.flavour.process_name) if mine in process.arguments()]

    @property
    def _supervisor(self):
        return f"/run/lab/supervise-{self.port}"

    def running(self):
        return bool(self.processes())

    def kill(self):
        """SIGKILL; nothing restarts it unless the server is supervised."""
        processes = self.processes()
        self.host.lab.note_fault(f"{self.name} killed")
        for process in processes:
            process.kill()

    def freeze(self):
        processes = self.processes()
        self.host.lab.note_fault(f"{self.name} frozen")
        for process in processes:
            process.signal(signal.SIGSTOP)

    def thaw(self):
        for process in self.processes():
            process.signal(signal.SIGCONT)

    def stop(self, timeout=60):
        """A clean shutdown."""
        self.host.lab.note_fault(f"{self.name} stopped")
        self.stop_supervisor()
        found = self.processes()
        for process in found:
            process.signal(signal.SIGTERM)
        for process in found:
            process.wait(timeout)

    def stop_supervisor(self):
        self.host.end(os.path.basename(self._supervisor), signal.SIGKILL)

    def restart(self):
        """Start the server again; if it still runs, end it cleanly first."""
        if self.running():
            self.stop()
        self.start()

    # SQL, by the socket: also while the host is cut off

    def connect(self, timeout=10, user="lab", password="lab-pw", **options):
        return pymysql.connect(unix_socket=f"{self.data}/mysqld.sock", user=user, password=password, autocommit=True,
                               connect_timeout=timeout, read_timeout=timeout, write_timeout=timeout,
                               cursorclass=pymysql.cursors.DictCursor, **options)

    def sql(self, *statements, timeout=10):
        """Run statements in one connection and give the rows of the last."""
        connection = self.connect(timeout)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def value(self, statement, timeout=10):
        rows = self.sql(statement, timeout=timeout)
        return next(iter(rows[0].values())) if rows else None

    def set_read_only(self, on):
        names = ["read_only", "super_read_only"] if self.flavour.has_super_read_only else ["read_only"]
        for name in names if on else reversed(names):
            self.sql(f"SET GLOBAL {name}={int(on)}")

    def writable(self):
        return not int(self.value("SELECT @@global.read_only"))

    # Replication

    def word(self, key):
        return self.flavour.words[key]

    def follow(self, source, mode=None, coordinates=None, delay=0):
        """Replicate from another server: by GTID, or from coordinates (file, position), by default its first."""
        mode = mode or self.mode
        role = self.word("Source").upper()
        words = [f"{role}_HOST='{source.ip}', {role}_PORT={source.port}, {role}_USER='repl', "
                 f"{role}_PASSWORD='repl-pw'",
                 f"{role}_CONNECT_RETRY=1, {role}_HEARTBEAT_PERIOD=1, {role}_DELAY={delay}",
                 self.flavour.change_source(self, source, mode)]
        if mode == "position":
            file, position = coordinates or ("binlog.000001", 4)
            words.append(f"{role}_LOG_FILE='{file}', {role}_LOG_POS={position}")
        if role == "SOURCE":
            words.append("SOURCE_RETRY_COUNT=100000")
        self.sql(f"{self.word('change')} {', '.join(words)}", self.word("start"))

    def status(self):
        """What the replica says of itself in the same words for every flavour; None if it is no replica."""
        rows = self.sql(self.word("status"))
        if not rows:
            return None
        row, source, replica = rows[0], self.word("Source"), self.word("Replica")
        return {
            "source": row[f"{source}_Host"], "port": int(row[f"{source}_Port"]), "io": row[f"{replica}_IO_Running"], "sql": row[f"{replica}_SQL_Running"],
            "read": (row[f"{source}_Log_File"], row[f"Read_{source}_Log_Pos"]),
            "executed": (row[f"Relay_{source}_Log_File"], row[f"Exec_{source}_Log_Pos"]),
            "lag": row[f"Seconds_Behind_{source}"], "delay": row.get("SQL_Delay", 0),
            "io_error": row["Last_IO_Error"], "sql_error": row["Last_SQL_Error"], "raw": row,
        }

    def position(self):
        """The end of its binary log: (file, position)."""
        row = self.sql(self.word("position"))[0]
        return row["File"], row["Position"]

    def replicating(self):
        status = self.status()
        return bool(status) and status["io"] == "Yes" and status["sql"] == "Yes"

    def stop_io(self):
        self.sql(f"{self.word('stop')} IO_THREAD")

    def start_io(self):
        self.sql(f"{self.word('start')} IO_THREAD")

    def stop_sql(self):
        self.sql(f"{self.word('stop')} SQL_THREAD")

    def start_sql(self):
        self.sql(f"{self.word('start')} SQL_THREAD")

    def delay(self, seconds):
        """Apply events that late (0: at once)."""
        self.sql(self.word("stop"), f"{self.word('change')} {self.word('Source').upper()}_DELAY={int(seconds)}",
                 self.word("start"))

    def set_semisync(self, primary):
        self.sql(f"SET GLOBAL {self.word('semisync_source')}={int(primary)}",
                 f"SET GLOBAL {self.word('semisync_replica')}={int(not primary)}")

    # Making the template

    def make_accounts(self):
        """From a fresh data directory, where root has no password."""
        connection = self.connect(user="root", password="")
        try:
            with connection.cursor() as cursor:
                cursor.execute("SELECT user, host FROM mysql.user WHERE user = ''")
                strangers = [(row["user"], row["host"]) for row in cursor.fetchall()]
                for user, place in strangers:
                    cursor.execute(f"DROP USER '{user}'@'{place}'")
                for user, (place, password, privileges, option) in ACCOUNTS.items():
                    cursor.execute(f"CREATE USER '{user}'@'{place}' IDENTIFIED BY '{password}'")
                    cursor.execute(f"GRANT {privileges} TO '{user}'@'{place}' {option}")
                for statement in [*self.flavour.accounts().split(";\n")[:-1], PING_GRANT]:
                    name = re.search(r"'(\w+)'@", statement)[1]
                    cursor.execute(statement.replace("PASSWORD", f"{name}-pw"))
        finally:
            connection.close()
