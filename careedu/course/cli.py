"""The command line: `careedu check`, `careedu fit`, `careedu compare`, `careedu show`, and what goes with them."""

import argparse
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from careedu import __version__
from careedu.course import commands
from careedu.errors import CareeduError

_KEPT = {
    commands.check: "only decoded images are kept, and the same command begins again",
    commands.fit: "what was trained is kept to the last whole epoch, and the same command goes on from there",
    commands.compare: "all finished runs, and those in training to their last whole epoch, are kept in "
    "careedu-runs/store, and the same command goes on from there",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those the process was started with.

    Returns
    -------
    int
        0 where all went well, 1 where something of the user's has to be mended, which is said on standard error,
        130 where the user interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(
                errors="replace"
            )  # a terminal that lacks a sign shows another, and the table all the same
    options = _parser().parse_args(arguments)
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _note
        return exit_status(lambda: options.command(options), _KEPT.get(options.command, "nothing is left half done"))


def exit_status(command: Callable[[], int], kept: str = "the same command goes on from the last whole epoch") -> int:
    """Run a command; of what goes wrong, say what the user can do about it on standard error.

    Parameters
    ----------
    command : callable
        Gives its own status.
    kept : str
        What is there where the user interrupts, and how to go on.

    Returns
    -------
    int
        The command's own, or as `main` has it.
    """
    try:
        return command()
    except CareeduError as error:
        print(f"careedu: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever reads has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        print(f"\ncareedu: interrupted; {kept}", file=sys.stderr)
        return 130


def _note(message: Warning | str, *place: object, **more: object) -> None:
    """A warning in words, without lines of our source."""
    print(f"careedu: note: {message}", file=sys.stderr)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="careedu", description="Learn to classify medical images when diseases are rare."
    )
    parser.add_argument("--version", action="version", version=f"careedu {__version__}")
    subparsers = parser.add_subparsers(title="commands", required=True)

    def add(
        name: str, command: Callable, line: str, *, example: str = "", data: bool = False, train: bool = False
    ) -> Any:
        epilog = f"example: careedu {name} {example}" if example else None
        added = subparsers.add_parser(name, help=line, description=f"{line[0].upper()}{line[1:]}.", epilog=epilog)
        added.set_defaults(command=command)
        if data:
            added.add_argument("data", help="name of a data set (see careedu list) or a folder with labels.csv")
            added.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="of the data set")
            added.add_argument("--size", type=int, metavar="PIXELS", help="side of the images")
            added.add_argument(
                "--rare", action="append", metavar="CLASS", help="a rare class (default: the small ones)"
            )
            added.add_argument("--split-seed", type=int, default=0, help="of splits that a folder does not tell")
        if train:
            added.add_argument("--thin", action="append", default=[], metavar="CLASS=N", help="keep N training images")
            added.add_argument("--imbalance", type=float, metavar="RATIO", help="largest to smallest training class")
            added.add_argument("--model", default="small", help="network (see careedu list; default small)")
            added.add_argument("--epochs", type=int, help="supervised epochs in all (default 20)")
            added.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
            added.add_argument(
                "--out", type=Path, metavar="FOLDER", help="where it is saved (default careedu-runs/...)"
            )
        if data:
            added.add_argument("--quiet", action="store_true", help="no progress bar")
        return added

    check = add("check", commands.check, "look for what makes results look better than they are", data=True,
                example="path/to/folder --report check.html")  # fmt: skip
    check.add_argument("--report", type=Path, metavar="FILE", help="one HTML page with the pictures")

    fit = add("fit", commands.fit, "train one method on one data set and measure it", data=True, train=True,
              example="brain-tumor --method class-balanced --option plane=axial --thin meningioma=30")  # fmt: skip
    fit.add_argument("--method", default="cross-entropy", help="name of a method (see careedu list)")
    fit.add_argument("--method-option", action="append", default=[], metavar="NAME=VALUE", help="option of the method")
    fit.add_argument("--seed", type=int, default=0, help="of all that is random in training (default 0)")

    compare = add("compare", commands.compare, "train several methods with several seeds and compare them", data=True,
                  train=True, example="path/to/folder --methods cross-entropy logit-adjusted --seeds 10 --jobs 2 "
                  "--report result.html; the same command goes on where it was stopped")  # fmt: skip
    compare.add_argument("--methods", nargs="+", required=True, metavar="NAME", help="the first is the reference")
    compare.add_argument("--seeds", type=int, default=10, metavar="N", help="trainings of each method (default 10)")
    compare.add_argument("--jobs", type=int, default=1, metavar="N", help="trainings at a time")
    compare.add_argument("--report", type=Path, metavar="FILE", help="one HTML page")

    show = add("show", commands.show, "tell what a saved run or comparison holds", example="careedu-runs/...")
    show.add_argument("folder", type=Path, help="where it was saved")

    add("list", commands.names, "name data sets, methods and networks, one line each")
    cache = add("cache", commands.cache, "tell what decoded images take, and clear them")
    cache.add_argument("--clear", action="store_true", help="remove them; they are made again where they are needed")

    lab = add("lab", commands.lab, "open the notebooks in JupyterLab")
    lab.add_argument("folder", type=Path, nargs="?", default=Path("careedu-notebooks"), help="where they are copied to")
    return parser
