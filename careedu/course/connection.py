"""Send what a kernel says to the browser at once, so that a picture follows its slider."""

import asyncio

from jupyter_server.services.kernels.connection.channels import ZMQChannelsWebsocketConnection


class PromptConnection(ZMQChannelsWebsocketConnection):
    """A kernel's connection to the browser that never holds a message back.

    By default small messages wait until the one before is acknowledged (Nagle's algorithm), which the other side puts
    off: together some 40 ms for each move of a slider, as its first message says only that the kernel is busy. It is
    asked for when JupyterLab is started, in :mod:`careedu.course.launch` and by ``make lab``, and not by a setting of
    the whole environment, as a server may have its own class here, for kernels on another machine.
    """

    def connect(self) -> asyncio.Future[None] | None:
        """Connect as ever, without delay."""
        self.websocket_handler.set_nodelay(True)
        return super().connect()
