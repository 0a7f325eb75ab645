"""However JupyterLab is opened, what a kernel says is sent at once."""

import sys
from pathlib import Path
from types import SimpleNamespace

from jupyter_server.serverapp import ServerApp
from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection

from careedu.course import launch
from careedu.course.connection import PromptConnection

CLONE = Path(__file__).resolve().parents[2]


def test_a_connection_holds_no_message_back(monkeypatch):
    order = []
    handler = SimpleNamespace(set_nodelay=lambda value: order.append(("nodelay", value)))
    monkeypatch.setattr(ZMQChannelsWebsocketConnection, "connect", lambda self: order.append("connected") or "future")
    monkeypatch.setattr(PromptConnection, "websocket_handler", handler)
    # Made without its traits, which need a server.
    assert PromptConnection.__new__(PromptConnection).connect() == "future"
    assert order == [("nodelay", True), "connected"]


def test_the_command_line_and_the_makefile_ask_for_it(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(launch.subprocess, "run", lambda line, **_: asked.extend(line) or SimpleNamespace(returncode=7))
    assert launch.launch(tmp_path) == 7
    assert asked[0] == sys.executable
    assert launch.PROMPT in asked
    makefile = (CLONE / "Makefile").read_text(encoding="utf-8")
    assert launch.PROMPT in makefile
    assert "00_start_here.ipynb $(PROMPT)" in makefile


def test_the_server_takes_the_class():
    name = launch.PROMPT.partition("=")[2]
    app = ServerApp(kernel_websocket_connection_class=name)
    assert app.kernel_websocket_connection_class is PromptConnection
