"""Saving an instance to a file, from a real Orthanc and from a server that hangs up."""

import socket
import threading
from pathlib import Path

import pytest

from instances import instance as made
from orthanc_deid.errors import NotFound, Retriable
from orthanc_deid.orthanc_rest import Address, Orthanc, basic
from servers import OrthancServer


def test_an_instance_is_saved_byte_for_byte_and_one_that_is_not_there_is_named_so(tmp_path: Path) -> None:
    with OrthancServer(tmp_path / "orthanc") as server:
        orthanc = Orthanc(Address(server.url, basic("admin", server.password)))
        content = made()
        instance = orthanc.store(content)
        target = tmp_path / "saved.dcm"
        target.write_bytes(b"x" * 10_000_000)

        assert orthanc.save(instance, target) == len(content)
        assert target.read_bytes() == content
        with pytest.raises(NotFound):
            orthanc.save("0" * 40, target)
        assert orthanc.save(instance, target) == len(content)  # the connection is still good


def test_a_connection_cut_in_the_middle_of_a_file_is_tried_again_later(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 50)

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        orthanc = Orthanc(Address(f"http://127.0.0.1:{listener.getsockname()[1]}", None, timeout_s=5))
        with pytest.raises(Retriable, match="cannot be reached"):
            orthanc.save("1", tmp_path / "saved.dcm")
    finally:
        thread.join(5)
        listener.close()
