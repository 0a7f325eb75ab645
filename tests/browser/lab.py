"""A real JupyterLab, or Notebook 7, for the browser tests: closed off from the network and the user's own settings."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO
from urllib.parse import quote

from careedu.course.launch import PROMPT

# Without it JupyterLab would ask which kernel to take.
KERNEL = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTINGS = {
    # Every cell stands in the page, so that what is off screen is checked and photographed as well.
    "@jupyterlab/notebook-extension/tracker": {"windowingMode": "none"},
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


def find_chromium() -> Path | None:
    """Give the installed Chromium, or None."""
    for name in ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return Path(found)
    return None


class Lab:
    """A JupyterLab server on a free port, with empty settings; kernels are those of the running Python.

    Parameters
    ----------
    folder : Path
        An empty folder for notebooks, settings and the log.
    start_within : float
        Seconds that the server may take to answer.
    app : str
        "lab", or "notebook" for Notebook 7.
    """

    def __init__(self, folder: Path, start_within: float = 60.0, app: str = "lab") -> None:
        self.app = app
        self.root = folder / "notebooks"
        self.root.mkdir(parents=True)
        self.log = folder / "jupyterlab.log"
        self.token = secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        settings = folder / "settings"
        for plugin, values in SETTINGS.items():
            file = settings / f"{plugin}.jupyterlab-settings"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(values))
        # The kernels and extensions of this environment are found through sys.prefix; these are the user's own folders.
        environment = os.environ | {
            "JUPYTER_PREFER_ENV_PATH": "1",
            "JUPYTER_CONFIG_DIR": str(folder / "config"),
            "JUPYTER_DATA_DIR": str(folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(settings),
            "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        command = [
            *(sys.executable, "-m", {"lab": "jupyterlab"}.get(app, app), "--no-browser", "--expose-app-in-browser"),
            *(["--allow-root"] if os.geteuid() == 0 else []),
            f"--ServerApp.root_dir={self.root}",
            "--ServerApp.ip=127.0.0.1",
            f"--ServerApp.port={self.port}",
            "--ServerApp.port_retries=0",
            f"--IdentityProvider.token={self.token}",
            "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
            "--LabApp.news_url=None",
            PROMPT,
            "--LabApp.extension_manager=readonly",
        ]
        self._sink: IO[bytes] = self.log.open("wb")
        self._process = subprocess.Popen(
            command, env=environment, cwd=folder, stdout=self._sink, stderr=self._sink, start_new_session=True
        )
        try:
            self._wait_until_it_answers(start_within)
        except BaseException:
            self.stop()
            raise

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://127.0.0.1:{self.port}"

    def page_of(self, notebook: str) -> str:
        """Address of a notebook's page, by the notebook's path."""
        where = "lab/tree" if self.app == "lab" else "notebooks"
        return f"{self.url}/{where}/{quote(notebook)}?reset&token={self.token}"

    def ask(self, path: str, method: str = "GET") -> bytes:
        """Send a request to the server's REST interface."""
        request = urllib.request.Request(
            f"{self.url}/{path}", method=method, headers={"Authorization": f"token {self.token}"}
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def add(self, notebook: Path) -> str:
        """Copy a notebook into the server's folder, without outputs, with its pictures, and give its path there.

        Outputs and execution counts go, so that what is found after a run is of this run.
        """
        content = json.loads(notebook.read_text())
        for cell in content["cells"]:
            if cell["cell_type"] == "code":
                cell["outputs"], cell["execution_count"] = [], None
        # A folder of its own: two tests may open notebooks of one name.
        target = self.root / secrets.token_hex(4) / notebook.name
        target.parent.mkdir()
        target.write_text(json.dumps(content))
        if (pictures := notebook.parent / "pictures").is_dir():
            shutil.copytree(pictures, target.parent / "pictures")
        return target.relative_to(self.root).as_posix()

    def shut_kernel_down(self, path: str) -> None:
        """End the kernel of a notebook, also one that is busy."""
        for session in json.loads(self.ask("api/sessions")):
            if session["path"] == path:
                self.ask(f"api/sessions/{session['id']}", "DELETE")

    def stop(self) -> None:
        """End the server and its kernels; by force where it does not listen."""
        if self._process.poll() is None:
            self._process.terminate()  # the server shuts its kernels down
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                # A kernel whose server is gone ends by itself.
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self._sink.close()

    def _wait_until_it_answers(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"JupyterLab ended at its start:\n{self.log.read_text()[-3000:]}")
            try:
                self.ask("api/status")
                return
            except (urllib.error.URLError, ConnectionError) as error:
                if time.monotonic() > end:
                    tail = self.log.read_text()[-3000:]
                    raise TimeoutError(f"JupyterLab did not answer within {seconds:g} s:\n{tail}") from error
            time.sleep(0.1)  # between two questions to the server
