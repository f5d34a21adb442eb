"""Ports for servers that others must find again."""

import socket

from services.control.ports import free_ports, is_free


def test_ports_are_free_distinct_and_never_given_to_clients_by_the_system() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) and 20_000 <= port < 30_000 for port in ports)


def test_a_port_in_use_is_not_free_and_not_found() -> None:
    (port,) = free_ports(1)
    with socket.socket() as server:
        server.bind(("127.0.0.1", port))
        server.listen()
        assert not is_free(port)
        assert port not in free_ports(3)
