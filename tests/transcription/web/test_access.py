"""Which requests are accepted: DNS rebinding and pages of other sites are not."""
import pytest
from werkzeug.datastructures import Headers

from open_seq2seq.transcription.web.access import Access
from open_seq2seq.transcription.web.http_error import HttpError


def status_of(host="127.0.0.1:8000", method="POST", path="/recordings", names=(), **fields):
    headers = Headers([(name.replace("_", "-"), value) for name, value in fields.items()])
    if host is not None:
        headers["Host"] = host
    try:
        Access(names).check(method, path, headers)
    except HttpError as error:
        return error.code
    return 200


@pytest.mark.parametrize("status, hosts", [
    (200, ["127.0.0.1:8000", "localhost", "LOCALHOST:9999", "[::1]:8000", "192.168.1.5:8000"]),      # any port: SSH tunnels
    (403, ["evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example"]),
    # the fifth: two Host headers, as WSGI joins them
    (400, ["evil@localhost", "localhost:8000/evil", "localhost\tx", "", "localhost,evil.example", None]),
])
def test_host(status, hosts):
    assert {host: status_of(host=host) for host in hosts} == {host: status for host in hosts}


def test_additional_name():
    assert status_of(host="speech.lan:8000", names=["Speech.lan"]) == 200


@pytest.mark.parametrize("fields, status", [
    ({"Origin": "http://127.0.0.1:8000"}, 200),
    ({"Origin": "http://127.0.0.1:9000"}, 403),                # another program's page on this machine
    ({"Origin": "http://localhost:8000"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Sec_Fetch_Site": "same-origin"}, 200),
    ({"Sec_Fetch_Site": "none"}, 200),
    ({"Sec_Fetch_Site": "same-site"}, 403),
    ({"Sec_Fetch_Site": "cross-site"}, 403),
])
def test_origin(fields, status):
    assert status_of(**fields) == status
    assert status_of(method="GET", path="/recordings/x", **fields) == status


def test_a_link_on_another_site_may_open_the_page_and_nothing_else():
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert status_of(method="GET", path="/", **link) == 200
    assert status_of(method="GET", path="/recordings/x", **link) == 403
    assert status_of(method="POST", path="/", **link) == 403
    assert status_of(method="GET", path="/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors") == 403
