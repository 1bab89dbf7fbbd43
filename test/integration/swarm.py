"""A swarm of bad clients of the control socket, for test_hostile.py: run in the manager's host as some user.

swarm.py SOCKET SECONDS CLIENTS MESSAGES: so many clients that are idle, slow or deaf are connected all the time, and so many
malformed messages are sent. Prints, as JSON, what became of them."""

import json
import random
import resource
import select
import socket
import sys
import time

CALLS = [b'{"method":"org.mhad.Status"}', b'{"method":"org.mhad.Check","parameters":{"what":"ssh","mesh":true}}',
         b'{"method":"org.mhad.Plan","parameters":{"cluster":"app1","procedure":"failover"}}']
FOLLOW = b'{"method":"org.mhad.Events","more":true}\0'
DESCRIBE = b'{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"org.mhad"}}\0'
LONGEST = 1024 * 1024


def connect(path):
    wire = socket.socket(socket.AF_UNIX)
    wire.settimeout(10)
    wire.connect(path)
    return wire


def malformed(chance):
    """Damaged calls, deep and long ones, and what is no message at all."""
    kind = chance.randrange(8)
    if kind == 0:
        return b"[" * chance.choice([999, 1001, 50000]) + b"\0"
    if kind == 1:
        return b'{"method":"org.mhad.Status","parameters":' + b'{"a":' * 900 + b"1" + b"}" * 901 + b"\0"
    if kind == 2:
        return b" " * chance.choice([65537, LONGEST, LONGEST + 1]) + b"\0" if chance.randrange(50) == 0 else b"\0" * 64
    if kind == 3:
        return chance.randbytes(chance.randrange(1, 200)) + b"\0"
    message = bytearray(chance.choice(CALLS))
    for _ in range(chance.randrange(1, 5)):
        message[chance.randrange(len(message))] = chance.randrange(256)
    return bytes(message) + b"\0"


def drain(wire):
    """What has come; None: the other end has closed."""
    try:
        text = wire.recv(65536, socket.MSG_DONTWAIT)
        return text if text else None
    except BlockingIOError:
        return b""
    except OSError:
        return None


def crowd(path, number):
    """Clients that want to stay: idle, in the middle of a message, deaf to events, deaf to answers."""
    wires = []
    for i in range(number):
        try:
            wire = connect(path)
            wire.setblocking(False)
            text = [b"", b'{"method":"org.mh', FOLLOW, DESCRIBE * 4000][i % 4]
            if text:
                wire.send(text)
        except OSError:
            pass  # turned away while it was speaking: that is read below
        wires.append(wire)
    return wires


def count(wires, told):
    """Who was turned away, with the answer that he should have; the others stay as they are, deaf."""
    left = []
    poll = select.poll()
    by_number = {wire.fileno(): wire for wire in wires}
    for wire in wires:
        poll.register(wire, 0)
    gone = {number for number, _ in poll.poll(0)}
    for number, wire in by_number.items():
        if number not in gone:
            left.append(wire)
            continue
        text = drain(wire)
        if text and b"org.mhad.Refused" in text:
            told["refused"] += 1
        else:
            told["dropped"] += 1
        wire.close()
    return left


def main():
    path, seconds, clients, messages = sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    seed = int(time.time())
    chance = random.Random(seed)
    told = {"seed": seed, "refused": 0, "dropped": 0, "sent": 0, "vanished": 0}
    began = time.monotonic()
    wires = crowd(path, clients)
    told["together"] = len(wires)
    while time.monotonic() < began + seconds or told["sent"] < messages:
        wires = count(wires, told)
        for _ in range(20):
            if told["sent"] >= messages:
                time.sleep(0.01)
                continue
            with connect(path) as wire:
                try:
                    for _ in range(10):
                        wire.sendall(malformed(chance))
                        told["sent"] += 1
                except OSError:
                    told["vanished"] += 1
    told["stayed"] = len(count(wires, told))
    print(json.dumps(told))


main()
