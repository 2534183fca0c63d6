"""Which requests are heard: DNS rebinding and pages of other sites are not."""
import email.message

import pytest

from open_seq2seq.transcription.web.access import Access
from open_seq2seq.transcription.web.refusal import Refusal


def check(host="127.0.0.1:8000", method="POST", path="/recordings", names=(), **fields):
    headers = email.message.Message()
    if host is not None:
        headers["Host"] = host
    for name, value in fields.items():
        headers[name.replace("_", "-")] = value
    return Access(names).check(method, path, headers)


def status_of(**request):
    try:
        check(**request)
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize("host, status", [
    ("127.0.0.1:8000", 200),
    ("localhost", 200),
    ("LOCALHOST:9999", 200),               # the port of an SSH tunnel
    ("[::1]:8000", 200),
    ("192.168.1.5:8000", 200),
    ("evil.example:8000", 403),
    ("localhost.evil.example", 403),
    ("127.0.0.1.evil.example", 403),
    ("evil@localhost", 400),
    ("localhost:8000/evil", 400),
    ("localhost\tx", 400),
    ("", 400),
    (None, 400),
])
def test_host(host, status):
    assert status_of(host=host) == status


def test_name_that_was_asked_for():
    assert status_of(host="speech.lan:8000", names=["Speech.lan"]) == 200


def test_two_hosts():
    headers = email.message.Message()
    headers["Host"] = "localhost"
    headers["Host"] = "evil.example"
    with pytest.raises(Refusal) as refused:
        Access().check("GET", "/", headers)
    assert refused.value.status == 400


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


def test_a_link_on_another_site_may_lead_to_the_page_and_nowhere_else():
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert status_of(method="GET", path="/", **link) == 200
    assert status_of(method="GET", path="/recordings/x", **link) == 403
    assert status_of(method="POST", path="/", **link) == 403
    assert status_of(method="GET", path="/", Sec_Fetch_Site="cross-site", Sec_Fetch_Mode="no-cors") == 403
