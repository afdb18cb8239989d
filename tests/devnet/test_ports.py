import os
import socket

import pytest

from connectionchain.errors import Unavailable
from devnet.ports import HOST, free_ports, is_free, require_free


def test_free_ports__differ_and_are_free() -> None:
    ports = free_ports(20)
    assert len(set(ports)) == 20
    assert all(is_free(port) for port in ports)


def test_taken_port__names_the_program_and_the_way_out() -> None:
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Unavailable, match=rf"port {port} for chain a is taken by .*process {os.getpid()}") as error:
            require_free(port, "chain a")
    assert "PORT_BASE" in error.value.remedy
