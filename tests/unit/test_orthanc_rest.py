"""The client of Orthanc: a real one, one that hangs up, and what is none."""

import base64
import socket
import threading
from pathlib import Path

import pytest

from http_servers import HttpServer, answers
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


def test_what_is_no_orthanc_is_told() -> None:
    with HttpServer(answers(200, b"<html>in maintenance, Zyxwvut")) as server:
        orthanc = Orthanc(Address(server.url, None, name="the peer Orthanc"))
        for call in (orthanc.system, lambda: orthanc.post("/tools/find", {})):
            with pytest.raises(Retriable, match="the peer Orthanc answers something else than JSON") as caught:
                call()
            assert "Zyxwvut" not in str(caught.value)


def test_a_job_that_ends_while_it_is_given_up_is_given_up_all_the_same() -> None:
    with HttpServer(answers(404)) as server, pytest.raises(Retriable, match="did not end in 0 s"):
        Orthanc(Address(server.url, None)).ended("job", 0)


def test_names_and_passwords_of_any_alphabet_log_in() -> None:
    assert basic("jürgen", "Ω:ö") == "Basic " + base64.b64encode("jürgen:Ω:ö".encode()).decode()
