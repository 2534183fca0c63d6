"""The server over real connections: its responses, its errors, and that no file of a failed upload remains."""
import contextlib
import io
import os
import socket
import threading

import numpy as np
import pytest
import soundfile

from open_seq2seq.decoding.writers import FORMATS
from open_seq2seq.errors import DataError, UsageError
from open_seq2seq.transcription.web import server, uploads
from open_seq2seq.transcription.web.access import CONTENT_SECURITY_POLICY
from open_seq2seq.transcription.web.live import LiveStreams
from open_seq2seq.transcription.web.server import WebServer

PDF = b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n" + bytes(5000)


def files_below(folder):
    return [os.path.join(directory, name) for directory, _, names in os.walk(str(folder)) for name in names]


def done(client, path, name="x.wav"):
    """Uploads a file, waits, returns its description."""
    answer = client.upload(path.read_bytes(), name)
    assert answer.status == 202, answer.json
    return client.wait(answer.json["id"])


def raw(client, request, shut=False):
    """Sends bytes and returns all that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=60) as connection:
        connection.sendall(request)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        received = b""
        while True:
            block = connection.recv(1 << 16)
            if not block:
                return received
            received += block


def test_from_upload_to_downloads(web, wav, transcriber):
    client = web()
    answer = client.upload(wav(500, 1000, 2000).read_bytes(), "My%20digits.wav")
    assert answer.status == 202 and answer.headers["Location"] == "/recordings/" + answer.json["id"]
    description = client.wait(answer.json["id"])
    assert (description["name"], description["text"]) == ("My digits.wav", "one two three")
    address = "/recordings/" + description["id"]
    sound, rate = soundfile.read(io.BytesIO(client.ask("GET", address + "/audio.wav").body), dtype="int16")
    np.testing.assert_array_equal(sound, soundfile.read(str(wav(500, 1000, 2000)), dtype="int16")[0])
    points = np.frombuffer(client.ask("GET", address + "/spectrogram").body, np.uint8).reshape(-1, 80)
    band_hz = np.array(description["spectrogram"]["band_hz"])
    np.testing.assert_allclose(band_hz[points[[50, 125, 200]].argmax(axis=1)], [500, 1000, 2000], rtol=0.06)
    transcript = transcriber.transcribe(str(wav(500, 1000, 2000)), progress=lambda seconds: None)
    for extension, write in FORMATS.values():
        download = client.ask("GET", address + "/transcript." + extension)
        assert download.status == 200 and download.body.decode() == write(transcript, "My digits.wav")
        assert download.headers["Content-Disposition"] == 'attachment; filename="My digits.%s"' % extension
    assert client.ask("GET", address + "/transcript.exe").status == 404


def test_form(web, wav):
    body = b'--B\r\nContent-Disposition: form-data; name="file"; filename="../../../tmp/evil.wav"\r\n\r\n' + \
        wav(1000).read_bytes() + b"\r\n--B--\r\n"
    client = web()
    answer = client.ask("POST", "/recordings", body, {"Content-Type": "multipart/form-data; boundary=B"})
    assert answer.status == 202
    description = client.wait(answer.json["id"])
    assert (description["name"], description["text"]) == ("evil.wav", "two")


def test_name_of_a_download_that_is_not_ascii(web, wav):
    client = web()
    description = done(client, wav(500), "gr%C3%B6%C3%9Fe%22.wav")
    disposition = client.ask("GET", "/recordings/%s/transcript.txt" % description["id"]).headers["Content-Disposition"]
    assert disposition.startswith("attachment; ") and "filename*=UTF-8''gr%C3%B6%C3%9Fe%22.txt" in disposition


def test_folders_in_the_name_of_an_upload(web, wav):
    """test_uploads.py has more of them."""
    client = web()
    description = done(client, wav(500), "..%2F..%2F..%2Fetc%2Fpasswd")
    assert description["name"] == "passwd" and description["text"] == "one"
    assert all("passwd" not in path for path in files_below(client.folder))


def test_addresses_without_a_resource(web):
    client = web()
    for path in ("/assets/../server.py", "/assets/..%2fserver.py", "/assets/page.py", "/assets/", "/recordings/../../etc/passwd",
                 "/recordings/%2e%2e/audio.wav", "//evil.example/", "/nothing"):
        answer = client.ask("GET", path)
        assert answer.status == 404 and answer.json["error"], path


def test_one_gigabyte_is_refused_before_any_of_it_is_read(web):
    client = web()
    answer = raw(client, b"POST /recordings HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1073741824\r\n\r\n", shut=True)
    assert answer.startswith(b"HTTP/1.1 413 ") and b"has 1024 MB; this server takes up to 200 MB" in answer
    assert b"\r\nConnection: close\r\n" in answer
    assert files_below(client.folder) == []


def test_client_that_sends_too_much_can_read_the_error(web):
    """A client that sends everything before it reads: the connection must not be reset before the response is read."""
    client = web(max_bytes=1 << 20)
    answer = client.upload(bytes(60 << 20))
    assert answer.status == 413 and "this server takes up to 1 MB" in answer.json["error"]
    assert files_below(client.folder) == []


def test_expect_continue_is_answered_only_when_the_upload_is_accepted(web, wav):
    client = web(max_bytes=1000)
    start = b"POST /recordings HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: "
    assert raw(client, start + b"2000\r\n\r\n", shut=True).startswith(b"HTTP/1.1 413 ")
    answer = raw(client, start + b"4\r\n\r\nabcd")
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 415 ")


def test_pdf(web):
    client = web()
    answer = client.upload(PDF, "paper.wav")
    assert answer.status == 415
    assert answer.json["error"] == "This file is not a recording that can be read here. It is a PDF. Expected WAV, FLAC, OGG, " \
                                   "MP3 or AIFF."
    assert files_below(client.folder) == [] and client.counts() == (0, 0)


def test_too_long(web, wav):
    client = web(max_seconds=1.0)
    answer = client.upload(wav(500).read_bytes())
    assert answer.status == 202                # 1.0 s
    client.wait(answer.json["id"])
    answer = client.upload(wav(500, 500).read_bytes())
    assert answer.status == 415 and "lasts 1.75 s; this server takes up to 1 s" in answer.json["error"]


def test_not_a_number(web, tmp_path):
    client = web()
    samples = np.zeros(16000, np.float32)
    samples[8000] = np.nan
    soundfile.write(str(tmp_path / "nan.wav"), samples, 16000, subtype="FLOAT")
    description = done(client, tmp_path / "nan.wav", "mine.wav")
    assert description["state"] == "failed" and "mine.wav" in description["error"] and "0.500 s" in description["error"]
    address = "/recordings/" + description["id"]
    assert client.ask("GET", address + "/audio.wav").status == client.ask("GET", address + "/transcript.txt").status == 404


def test_upload_that_is_cut_off(web, wav):
    client = web()
    content = wav(500).read_bytes()
    answer = raw(client, b"POST /recordings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(content)
                 + content[:1000], shut=True)
    assert answer.startswith(b"HTTP/1.1 400 ") and b"ended after 1000 of its %d bytes" % len(content) in answer
    assert files_below(client.folder) == [] and client.counts() == (0, 0)


def test_upload_without_a_length(web):
    answer = raw(web(), b"POST /recordings HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 411 ") and answer.count(b"HTTP/1.1") == 1


def test_full_disk(web, wav, monkeypatch):
    client = web()
    monkeypatch.setattr(uploads, "open", lambda path, mode: open("/dev/full", "wb"), raising=False)
    answer = client.upload(wav(500).read_bytes())
    assert answer.status == 507 and answer.json["error"] == "The server's disk is full."
    assert client.counts() == (0, 0)


def test_too_many_at_a_time(web, wav, transcriber):
    client = web(max_waiting=1)
    transcriber.gate.clear()
    first = client.upload(wav(500).read_bytes())
    second = client.upload(wav(500).read_bytes())
    assert (first.status, second.status) == (202, 503) and second.headers["Retry-After"] == "10"
    transcriber.gate.set()
    client.wait(first.json["id"])
    assert client.upload(wav(500).read_bytes()).status == 202


def test_error_of_a_recording_is_reported(web, wav, transcriber):
    transcriber.error = DataError("the model's logits are not finite")
    client = web()
    description = done(client, wav(500))
    assert (description["state"], description["error"]) == ("failed", "the model's logits are not finite")
    assert files_below(client.folder) == []
    assert client.ask("GET", "/recordings/%s/audio.wav" % description["id"]).status == 404


def test_traceback_is_printed_and_the_next_recording_is_transcribed(web, wav, transcriber, capsys):
    client = web()
    transcriber.error = ZeroDivisionError("a bug")
    description = done(client, wav(500))
    assert description["state"] == "failed" and "Internal server error" in description["error"]
    assert "a bug" not in description["error"] and "ZeroDivisionError: a bug" in capsys.readouterr().err
    transcriber.error = None
    assert done(client, wav(500))["text"] == "one"


def test_progress(web, wav, transcriber):
    client = web()
    transcriber.gate.clear()
    identity = client.upload(wav(500, 500).read_bytes()).json["id"]
    assert transcriber.started.wait(60)
    while True:
        description = client.wait(identity, "working")
        if description["fraction"]:
            break
    assert description["fraction"] == 0.5 and description["duration"] == 1.75 and "text" not in description
    assert client.ask("GET", "/recordings/%s/spectrogram" % identity).status == 200     # it is there before the words


def test_delete(web, wav):
    client = web()
    description = done(client, wav(500))
    assert client.ask("DELETE", "/recordings/" + description["id"]).status == 204
    assert client.ask("GET", "/recordings/" + description["id"]).status == 404
    assert files_below(client.folder) == []


def test_part_of_the_sound(web, wav):
    client = web()
    address = "/recordings/%s/audio.wav" % done(client, wav(500))["id"]
    whole = client.ask("GET", address)
    assert whole.status == 200 and whole.headers["Accept-Ranges"] == "bytes" and whole.headers["Content-Type"] == "audio/wav"
    size = len(whole.body)
    for header, first, end in (("bytes=100-199", 100, 200), ("bytes=10-", 10, size), ("bytes=-5", size - 5, size),
                               ("bytes=990-5000000", 990, size)):
        part = client.ask("GET", address, headers={"Range": header})
        assert part.status == 206 and part.body == whole.body[first:end], header
        assert part.headers["Content-Range"] == "bytes %d-%d/%d" % (first, end - 1, size)
    # malformed or without effect: ignored (RFC 9110, 14.2)
    for header in ("bytes=5-4", "bytes=-", "bytes=0-1,5-6", "seconds=0-1", "bytes=x-", "bytes=-5000000"):
        answer = client.ask("GET", address, headers={"Range": header})
        assert (answer.status, len(answer.body)) == (200, size), header
    for header in ("bytes=%d-" % size, "bytes=2000000-3000000"):
        outside = client.ask("GET", address, headers={"Range": header})
        assert outside.status == 416 and outside.headers["Content-Range"] == "bytes */%d" % size, header


def test_headers_of_every_response(web):
    client = web()
    for method, path in (("GET", "/"), ("GET", "/health"), ("GET", "/nothing"), ("PUT", "/"), ("BREW", "/"),
                         ("GET", "/assets/page.js"), ("OPTIONS", "/recordings"), ("TRACE", "/")):
        headers = client.ask(method, path).headers
        assert headers.get_all("Content-Security-Policy") == [CONTENT_SECURITY_POLICY], path
        assert "'unsafe" not in CONTENT_SECURITY_POLICY
        assert headers["X-Content-Type-Options"] == "nosniff" and headers.get_all("Cache-Control") == ["no-store"]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and headers["Referrer-Policy"] == "no-referrer"
        assert headers["Server"] == "Jasper" and "Access-Control-Allow-Origin" not in headers


def test_methods(web):
    client = web()
    for method, path, status, allowed in (("PUT", "/", 405, "GET, HEAD"), ("GET", "/recordings", 405, "POST"),
                                          ("POST", "/recordings/" + "x" * 22, 405, "DELETE, GET, HEAD"),
                                          ("BREW", "/", 405, "GET, HEAD")):
        answer = client.ask(method, path)
        assert (answer.status, answer.headers["Allow"]) == (status, allowed) and answer.json["error"]
    head = client.ask("HEAD", "/")
    assert head.status == 200 and head.body == b"" and int(head.headers["Content-Length"]) > 1000


def test_body_of_a_request_that_has_none(web):
    """It must not be taken for the next request."""
    client = web()
    smuggled = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    answer = raw(client, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(smuggled) + smuggled)
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1
    answer = client.ask("PUT", "/recordings", bytes(1 << 20))
    assert answer.status == 405 and answer.json["error"] == "This address takes only POST."


def test_requests_of_other_sites(web, wav):
    client = web()
    content = wav(500).read_bytes()
    assert client.upload(content, Host="evil.example").status == 403
    assert client.upload(content, Origin="http://evil.example").status == 403
    assert client.upload(content, **{"Sec-Fetch-Site": "cross-site"}).status == 403
    assert client.ask("GET", "/health", headers={"Host": "evil.example"}).status == 403
    assert client.upload(content, Origin="http://127.0.0.1:%d" % client.port).status == 202
    for hosts in (b"", b"Host: localhost\r\nHost: evil.example\r\n"):
        assert raw(client, b"GET / HTTP/1.1\r\n" + hosts + b"\r\n", shut=True).startswith(b"HTTP/1.1 400 ")
    absolute = b"GET http://evil.example/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    assert raw(client, absolute).startswith(b"HTTP/1.1 403 ")


def test_invalid_requests(web):
    client = web()
    for request_line in (b"nonsense", b"GET / HTTP/9.9", b"GET http://[x/ HTTP/1.1", b"GET /" + b"x" * 70000,
                         b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200,
                         b"POST /recordings HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2"):
        answer = raw(client, request_line + b"\r\nHost: localhost\r\n\r\n", shut=True)
        assert answer.split()[1] in (b"400", b"414", b"431", b"505") and b"<" not in answer, answer
        assert b"\r\nContent-Security-Policy: " in answer and answer.count(b"HTTP/1.1 ") == 1


def test_health(web, wav):
    client = web(max_bytes=1234567)
    done(client, wav(500))
    assert client.ask("GET", "/health").json == {"status": "ok", "busy": 0, "finished": 1, "max_bytes": 1234567,
                                                 "max_seconds": 3600.0, "sample_rate": 16000,
                                                 "decoding": "Decoding of tones",
                                                 "live_problem": LiveStreams.problem()}


def test_connection_stays_open_after_a_refused_file(web, wav):
    """A browser sends the next file on the same connection; no rest of the last one may be taken for a request."""
    client = web()
    request = b"POST /recordings HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
    answer = raw(client, request % len(PDF) + PDF + b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 ") == 2 and b"HTTP/1.1 415 " in answer and b"HTTP/1.1 200 " in answer


def test_many_at_once(web, wav):
    client = web(max_waiting=20, max_kept=20)
    content, answers = wav(500, 1000).read_bytes(), []
    threads = [threading.Thread(target=lambda: answers.append(client.upload(content))) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [answer.status for answer in answers] == [202] * 12
    assert {client.wait(answer.json["id"])["text"] for answer in answers} == {"one two"}


def test_connections_are_limited(web, monkeypatch):
    client = web()
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 3)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", client.port), timeout=60)) for _ in range(3)]
        for connection in idle:        # once a connection is answered, it is counted
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(15) == b"HTTP/1.1 200 OK"
        with socket.create_connection(("127.0.0.1", client.port), timeout=60) as one_more:
            assert one_more.recv(1) == b""
    client.wait_until(lambda: client.ask("GET", "/health").status == 200)


def test_only_the_user_who_started_the_server_can_read_its_files(web, wav):
    client = web()
    done(client, wav(500))
    for directory, names, _ in os.walk(str(client.folder)):
        assert all(os.stat(os.path.join(directory, name)).st_mode & 0o077 == 0 for name in names)


def test_taken_port(web, transcriber):
    port = web().port
    with pytest.raises(UsageError, match="cannot listen on 127.0.0.1, port %d: .*--port" % port):
        WebServer(transcriber, port=port)


def test_address_of_another_machine(transcriber):
    for host, port in (("192.0.2.1", 0), ("no-such-host.invalid", 0), ("no..host", 0), ("127.0.0.1", 70000)):
        with pytest.raises(UsageError, match="cannot listen on %s" % host):
            WebServer(transcriber, host, port)


def test_other_hosts_and_ipv6(web):
    everywhere = web(host="0.0.0.0").server
    assert not everywhere.is_loopback and everywhere.url == "http://127.0.0.1:%d/" % everywhere.port
    named = web(host="localhost").server
    assert named.is_loopback
    if socket.has_ipv6:
        try:
            sixth = web(host="::1").server
        except UsageError:
            return                     # a machine without IPv6
        assert sixth.is_loopback and sixth.url == "http://[::1]:%d/" % sixth.port
