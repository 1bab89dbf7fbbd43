"""The writing process: write.py SPEC. Inserts rows, each with an id of its own, and notes what was acknowledged. With
"rich" each row comes in a transaction like those of sysbench (oltp_read_write) that also counts it.

A line of the output is KIND MONOTONIC ID REST: "c" connected (REST: server_id), "a" acknowledged (server_id),
"e" an error (what it was; ID is "-" if no row had been sent, else that row may exist or not).
"""

import json
import random
import signal
import ssl
import sys
import time

import pymysql

ENDED = False


def end(*_):
    global ENDED
    ENDED = True


class Log:
    def __init__(self, path):
        self.file = open(path, "a", encoding="utf-8", buffering=1)

    def __call__(self, kind, row, rest):
        self.file.write(f"{kind} {time.monotonic():.6f} {row} {rest}\n")


def kind_of(error):
    number = error.args[0] if error.args else ""
    words = str(error.args[1] if len(error.args) > 1 else error).lower()
    timed_out = " timeout" if "timed out" in words else ""
    return f"{type(error).__name__} {number}{timed_out}"


def tls_context():
    """Encrypted, unchecked, and made once: to load the machine's certificates takes 30 ms."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def connect(spec, place, tls):
    host, port = place
    connection = pymysql.connect(host=host, port=port, user="app", password="app-pw", database="app", autocommit=True,
                                 connect_timeout=spec["connect_timeout"], read_timeout=spec["read_timeout"],
                                 write_timeout=spec["read_timeout"], ssl=tls)
    with connection.cursor() as cursor:
        cursor.execute("SELECT @@server_id")
        return connection, cursor.fetchone()[0]


def transact(cursor, row, spec):
    """On the tables that Writer.make_tables() makes."""
    one = random.randrange(1, spec["rich"] + 1)
    cursor.execute("BEGIN")
    cursor.execute("SELECT c FROM bench WHERE id = %s", (one,))
    cursor.execute("SELECT SUM(k) FROM bench WHERE id BETWEEN %s AND %s", (one, one + 99))
    cursor.execute("UPDATE bench SET k = k + 1 WHERE id = %s", (one,))
    cursor.execute("DELETE FROM bench WHERE id = %s", (one,))
    cursor.execute("INSERT INTO bench (id, k, c) VALUES (%s, %s, %s)", (one, row % 1000, f"{row:0120d}"))
    cursor.execute("UPDATE counts SET n = n + 1 WHERE writer = %s", (spec["first"],))
    insert(cursor, row, spec)
    cursor.execute("COMMIT")


def insert(cursor, row, spec):
    cursor.execute("INSERT INTO writes (id, payload, ts) VALUES (%s, %s, NOW(6))", (row, f"{row:020d}" * spec["size"]))


def close(connection):
    if connection:
        connection._force_close()  # no goodbye: the server may never answer


def main():
    spec = json.loads(sys.argv[1])
    signal.signal(signal.SIGTERM, end)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    log = Log(spec["output"])
    places = spec["places"]
    tls = tls_context() if spec["tls"] else None
    row, turn, connection = spec["first"], 0, None
    due = time.monotonic()
    while not ENDED:
        due += spec["interval"]
        sent = "-"
        try:
            if not connection:
                connection, server = connect(spec, places[turn % len(places)], tls)
                log("c", "-", server)
            row += 1
            with connection.cursor() as cursor:
                sent = row
                (transact if spec.get("rich") else insert)(cursor, row, spec)
            log("a", row, server)
        except (pymysql.MySQLError, OSError) as error:
            log("e", sent, kind_of(error))
            close(connection)
            connection = None
            turn += 1
        wait = due - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        else:
            due = time.monotonic()
    close(connection)


main()
