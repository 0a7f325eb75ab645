"""Processes that train beside this one end soon after it, whatever they are doing and however it ended.

This module imports no torch, so that a worker is watched before it has loaded anything.
"""

import multiprocessing
import os
import sys
import threading
import time

from tqdm import tqdm

INTERVAL = 0.5  # seconds between two looks


def end_with_parent(parent: int) -> None:
    """End this process soon after the one that started it; for a worker's beginning.

    Files are written aside and moved into place, so that a worker may end at any moment.

    Parameters
    ----------
    parent : int
        Its process number. A process that somebody else has started, a cluster's, is left alone.
    """
    tqdm.set_lock(threading.RLock())  # its own is a semaphore of the system, left behind where a worker is ended
    started_by = multiprocessing.parent_process()
    if started_by is not None and started_by.pid == parent:
        threading.Thread(target=_watch, args=(parent,), daemon=True, name="careedu watches the parent").start()


def _watch(parent: int) -> None:
    if sys.platform == "win32":
        multiprocessing.parent_process().join()
    else:
        while os.getppid() == parent:  # an orphan is given to another process
            time.sleep(INTERVAL)
    os._exit(1)
