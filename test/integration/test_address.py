"""The address goes where the primary goes, and the network learns it at once, by whatever the host has for it."""

import json

import pytest

from labkit.process import until
from manager import Manager, steps

pytestmark = [pytest.mark.flavours("mariadb"), pytest.mark.modes("gtid")]

NET6 = "fd6d:6864::"
GREETED = "import socket, sys; socket.create_connection((sys.argv[1], 22), 3).recv(1)"
SUDO = """\
#!/bin/sh
echo "$@" >>/run/sudo.log
[ "$1" = -n ] || exit 1
shift
exec "$@"
"""


def give_addresses(lab):
    """An IPv6 address for each host beside the other."""
    for host in lab.hosts.values():
        host.run("ip", "addr", "add", f"{NET6}{host.ip.rsplit('.', 1)[1]}/64", "dev", "eth0", "nodad")


def hide(host, *names):
    """Programs of the host that are not there any more, if they ever were; not for a shell's "command -v" either."""
    host.run("touch", "/run/hidden")
    for name in names:
        host.run("sh", "-c", f"at=$(command -v {name}) || exit 0; mount --bind /run/hidden $(readlink -f $at)")


def neighbour(lab, ip):
    """Where the client believes the address to be: a link address, without asking anybody."""
    listed = json.loads(lab.client.run("ip", "-j", "neigh", "show", "to", ip, "dev", "eth0").stdout)
    return listed[0].get("lladdr") if listed else None


def learn(lab, ip, server):
    """The client learns, by asking, where the address is."""
    lab.client.run("python3", "-I", "-c", "import socket, sys; socket.socket(socket.getaddrinfo(sys.argv[1], 9)"
                   "[0][0], socket.SOCK_DGRAM).sendto(b'', (sys.argv[1], 9))", ip)
    until(lambda: neighbour(lab, ip) == lab[server].host.link_address(), 5, f"the client finds {ip} on {server}")


def holders(lab, ip):
    return [server.name for server in lab.servers if server.host.run("ip", "-o", "addr", "show", "to", ip).stdout]


def start(lab, ip, on="db1", **sections):
    lab[on].host.run("ip", "addr", "add", ip, "dev", "eth0", *(["nodad"] if ":" in ip else []))
    address = {"ip": ip, "device": "eth0"} | sections.pop("address", {})
    manager = Manager.start(lab, address=address, switchover={"max_write_block": "30s"}, **sections)
    learn(lab, ip.split("/")[0], on)
    return manager


def switch(manager, to):
    done = manager.order("switch", "app1", "--yes", "--to", to)
    assert done.returncode == 0, done.stderr + manager.lab.mhad_log_tail()
    return steps(manager.report())


def why(step):
    return [target["why"] for target in step["targets"].values()]


def moved(lab, ip, to):
    """It is there and nowhere else, and the client knows it without having asked."""
    bare = ip.split("/")[0]
    assert holders(lab, bare) == [to]
    until(lambda: neighbour(lab, bare) == lab[to].host.link_address(), 5, f"the client knows that {ip} is on {to}")


@pytest.mark.parametrize("ip", [f"{NET6}64/64", "{net}.77/24"], ids=["ipv6", "ipv4"])
@pytest.mark.lab(address=False)
def test_moves(lab, ip):
    """By a switchover and by a failover; nobody whom it is taken from keeps it."""
    ip = ip.format(net=lab.client.ip.rsplit(".", 1)[0])
    give_addresses(lab)
    manager = start(lab, ip)
    done = switch(manager, "db2")
    moved(lab, ip, "db2")
    assert why(done["give-address" if done["give-address"]["state"] == "done" else "give-address-late"]) == [
        f"{ip} is on eth0: the network was told"]
    assert why(done["take-address"]) == [f"{ip} is not on the host"]
    manager.wait_health("ok")
    lab["db2"].kill()
    done = steps(manager.wait_run(after=manager.report()["run"]))
    assert why(done["fence-address"]) == [f"{ip} is not on the host"]
    moved(lab, ip, manager.report()["new_primary"])
    if "." in ip:  # no sshd of the lab listens on IPv6
        lab.client.run("python3", "-I", "-c", GREETED, ip.split("/")[0])


@pytest.mark.lab(address=False)
def test_label_and_sudo(lab):
    """With a label; and when the account of SSH needs sudo for it."""
    ip = f"{lab.client.ip.rsplit('.', 1)[0]}.77/24"
    for server in lab.servers:
        server.host.run("mount", "-t", "tmpfs", "lab", "/usr/local/bin")
        server.host.run("tee", "/usr/local/bin/sudo", input=SUDO)
        server.host.run("chmod", "755", "/usr/local/bin/sudo")
    manager = start(lab, ip, address={"label": "eth0:mhad"}, ssh={"sudo": True})
    switch(manager, "db2")
    moved(lab, ip, "db2")
    assert "eth0:mhad" in lab["db2"].host.run("ip", "-o", "addr", "show", "to", ip.split("/")[0]).stdout
    assert "ip addr add" in lab["db2"].host.run("cat", "/run/sudo.log").stdout


@pytest.mark.lab(address=False)
def test_without_perl(lab):
    """A host with nothing for it sends packets that tell it; where even these cannot, the report says so."""
    net = lab.client.ip.rsplit(".", 1)[0]
    give_addresses(lab)
    for server in lab.servers:
        hide(server.host, "perl", "arping")
    manager = start(lab, f"{net}.77/24")
    done = switch(manager, "db2")
    moved(lab, f"{net}.77/24", "db2")
    assert "the network learns it from packets that were sent" in json.dumps(done)
    lab.stop_mhad()

    manager = start(lab, f"{NET6}64/64", on="db2")
    done = switch(manager, "db1")
    assert holders(lab, f"{NET6}64") == ["db1"]
    assert neighbour(lab, f"{NET6}64") == lab["db2"].host.link_address()
    assert "THE NETWORK WAS NOT TOLD" in json.dumps(done)
    assert "THE NETWORK WAS NOT TOLD" in manager.report()["text"]
    with open(lab.mhad_log, encoding="utf-8") as file:
        assert "THE NETWORK WAS NOT TOLD" in file.read()


@pytest.mark.lab(address=False)
def test_arping(lab):
    """Where there is no perl, but arping(8)."""
    ip = f"{lab.client.ip.rsplit('.', 1)[0]}.77"
    host = lab["db2"].host
    host.run("mount", "-t", "tmpfs", "lab", "/usr/local/bin")
    host.run("tee", "/usr/local/bin/arping", input="#!/bin/sh\necho \"$@\" >>/run/arping.log\n")
    host.run("chmod", "755", "/usr/local/bin/arping")
    hide(host, "perl")
    manager = start(lab, f"{ip}/24")
    assert "the network was told by arping" in json.dumps(switch(manager, "db2"))
    until(lambda: host.run("cat", "/run/arping.log").stdout == f"-q -U -c 1 -I eth0 {ip}\n" * 3, 10, "three calls")


@pytest.mark.lab(address=False)
def test_removal_is_verified(lab):
    """An ip(8) that says that it has removed the address, and has not, is not believed."""
    ip = f"{lab.client.ip.rsplit('.', 1)[0]}.77/24"
    manager = start(lab, ip)
    real = lab["db1"].host.run("sh", "-c", "readlink -f $(command -v ip)").stdout.strip()
    lab["db1"].host.run("sh", "-c", f"cp {real} /run/ip; printf '#!/bin/sh\\ncase $2 in del) exit 0;; esac\\n"
                        f"exec /run/ip \"$@\"\\n' >/run/liar; chmod 755 /run/liar; mount --bind /run/liar {real}")
    done = switch(manager, "db2")
    assert done["take-address"]["state"] == "failed", why(done["take-address"])
    assert holders(lab, ip.split("/")[0]) == ["db1", "db2"]
