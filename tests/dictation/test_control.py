"""The socket through which a desktop's shortcut controls the running dictation."""
import contextlib
import os
import socket
import stat

import pytest

from open_seq2seq.dictation.control import ControlSocket, ask, socket_path
from open_seq2seq.errors import DeviceError


@pytest.fixture
def environment(tmp_path):
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def test_requests_are_answered_and_only_the_user_can_make_them(environment):
    with contextlib.closing(ControlSocket(lambda request: "did " + request, environment)):
        assert ask("toggle", environment) == "did toggle" and ask("stop", environment) == "did stop"
        assert stat.S_IMODE(os.stat(socket_path(environment)).st_mode) == 0o600
        # a connection that says nothing does not keep others waiting for ever
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as silent:
            silent.connect(socket_path(environment))
        assert ask("status", environment) == "did status"
        with pytest.raises(DeviceError) as error:
            ControlSocket(str, environment)
        assert "already running" in str(error.value) and "--quit" in str(error.value)
    assert not os.path.exists(socket_path(environment))
    with pytest.raises(DeviceError) as error:
        ask("toggle", environment)
    assert "no dictation is running" in str(error.value) and "--model" in str(error.value)


def test_the_socket_of_a_killed_process_is_replaced(environment):
    killed = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    killed.bind(socket_path(environment))
    killed.close()
    with pytest.raises(DeviceError):
        ask("toggle", environment)
    with contextlib.closing(ControlSocket(str, environment)):
        assert ask("toggle", environment) == "toggle"


def test_a_folder_that_others_can_use_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    path = socket_path({})
    assert os.path.dirname(os.path.dirname(path)) == str(tmp_path)
    os.chmod(os.path.dirname(path), 0o755)
    with pytest.raises(DeviceError) as error:
        socket_path({"XDG_RUNTIME_DIR": "/nonexistent"})
    assert "XDG_RUNTIME_DIR" in str(error.value)
