"""Is a cluster as it must be? Equal data, one writable server, nothing lost."""

import ipaddress
import time

import pymysql

from .errors import LabError
from .process import until


class Violation(AssertionError):
    """What a cluster must always be, it is not."""


def canonical(host):
    """An address in its one spelling, or a name as it is."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host


def checksums(server):
    """The checksum of every table that applications own."""
    tables = server.sql("SELECT table_schema AS s, table_name AS t FROM information_schema.tables WHERE table_schema "
                        "NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema') ORDER BY 1, 2")
    names = [f"`{row['s']}`.`{row['t']}`" for row in tables]
    if not names:
        return {}
    return {row["Table"]: row["Checksum"] for row in server.sql(f"CHECKSUM TABLE {', '.join(names)}", timeout=60)}


def compare(servers, timeout=20):
    """Wait until all servers have the same data; Violation says which differ in what."""
    end = time.monotonic() + timeout
    while True:
        sums = {server.name: checksums(server) for server in servers}
        first, *others = sums.values()
        if all(other == first for other in others):
            return first
        if time.monotonic() > end:
            raise Violation("data differ: " + "; ".join(
                f"{name}: {table}={sums[name].get(table)}" for table in sorted(set().union(*sums.values()))
                for name in sums if len({one.get(table) for one in sums.values()}) > 1))
        time.sleep(0.05)


def invariants(lab, dead=(), cluster=None, writers=(), timeout=20, direct=True):
    """Check what must be true after every failover; give the primary, or raise Violation with all that is wrong.

    dead: names of servers that need not answer. direct: replicas follow the primary itself, not each other.
    """
    cluster = cluster or lab.clusters[0]
    living = [server for server in cluster.servers if server.name not in dead]
    wrong = []
    writable = []
    for server in living:
        try:
            if server.writable():
                writable.append(server)
        except (pymysql.MySQLError, LabError) as error:
            wrong.append(f"{server.name} does not answer: {error}")
    if len(writable) != 1:
        wrong.append(f"writable servers: {', '.join(server.name for server in writable) or 'none'}; must be one")
    if wrong:
        raise Violation("; ".join(wrong))
    primary = writable[0]
    for server in living:
        if server is not primary:
            wrong += _replica_wrong(server, primary, cluster, timeout, direct)
    if lab.settings["address"]:
        holders = {server.host.name for server in living if cluster.address in server.host.addresses()}
        if holders != {primary.host.name}:
            wrong.append(f"the address is on {', '.join(holders) or 'no host'}, not on that of {primary.name}")
    if not wrong:
        try:
            compare(living, timeout)
        except Violation as violation:
            wrong.append(str(violation))
    for writer in writers:
        for server in living:
            missing = writer.missing_on(server)
            if missing:
                wrong.append(f"{server.name} lacks {len(missing)} acknowledged rows, {missing[0]} … {missing[-1]}")
    if wrong:
        raise Violation("; ".join(wrong))
    return primary


def _replica_wrong(server, primary, cluster, timeout, direct):
    servers = [primary] if direct else [other for other in cluster.servers if other is not server]
    sources = {(name, other.port) for other in servers for name in other.host.names()}

    def follows():
        status = server.status()
        return status and (canonical(status["source"]), status["port"]) in sources and status["io"] == "Yes" and status["sql"] == "Yes"

    try:
        until(follows, timeout, "follow", 0.05)
        return []
    except LabError:
        status = server.status()
        if not status:
            return [f"{server.name} is no replica"]
        words = (f"{server.name} follows {status['source']}:{status['port']} (must be {primary.name}), io={status['io']} "
                 f"sql={status['sql']} {status['io_error']} {status['sql_error']}")
        return [words.rstrip()]
