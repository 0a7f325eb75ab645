"""The command line: `careedu fit`, `careedu list`, `careedu lab`."""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from careedu import __version__
from careedu.errors import CareeduError, InvalidInputError


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
    options = _parser().parse_args(arguments)
    return exit_status(lambda: options.command(options))


def exit_status(command: Callable[[], int]) -> int:
    """Run a command; of what goes wrong, say what the user can do about it on standard error.

    Parameters
    ----------
    command : callable
        Gives its own status.

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
    except KeyboardInterrupt:
        print("\ncareedu: interrupted; the same command goes on from the last whole epoch", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="careedu", description="Learn to classify medical images when diseases are rare."
    )
    parser.add_argument("--version", action="version", version=f"careedu {__version__}")
    commands = parser.add_subparsers(title="commands", required=True)

    fit = commands.add_parser(
        "fit",
        help="train one method on one data set and measure it",
        description="Train one method on one data set, print recalls with 95 % intervals, save run and figure.",
        epilog="example: careedu fit brain-tumor --method class-balanced --option plane=axial --thin meningioma=30",
    )
    fit.add_argument("data", help="name of a data set (see careedu list) or a folder with labels.csv")
    fit.add_argument("--method", default="cross-entropy", help="name of a method (see careedu list)")
    fit.add_argument("--option", action="append", default=[], metavar="NAME=VALUE", help="option of the data set")
    fit.add_argument("--method-option", action="append", default=[], metavar="NAME=VALUE", help="option of the method")
    fit.add_argument("--thin", action="append", default=[], metavar="CLASS=N", help="keep N training images of a class")
    fit.add_argument("--imbalance", type=float, metavar="RATIO", help="largest to smallest training class")
    fit.add_argument("--size", type=int, metavar="PIXELS", help="side of the images")
    fit.add_argument("--seed", type=int, default=0, help="of everything random (default 0)")
    fit.add_argument("--model", default="small", help="network (see careedu list; default small)")
    fit.add_argument("--epochs", type=int, help="supervised epochs in all (default 20)")
    fit.add_argument("--device", default="auto", help="auto, cpu, cuda or mps")
    fit.add_argument("--out", type=Path, metavar="FOLDER", help="where the run is saved (default careedu-runs/...)")
    fit.add_argument("--quiet", action="store_true", help="no progress bar")
    fit.set_defaults(command=_fit)

    listing = commands.add_parser("list", help="name data sets, methods and networks, one line each")
    listing.set_defaults(command=_list)

    lab = commands.add_parser("lab", help="open the notebooks in JupyterLab")
    lab.add_argument(
        "folder", type=Path, nargs="?", default=Path("careedu-notebooks"), help="where notebooks are copied to"
    )
    lab.set_defaults(command=_lab)
    return parser


def _fit(options: argparse.Namespace) -> int:
    import careedu
    from careedu.experiment.run import SAVED_RUN
    from careedu.experiment.saved_folder import check_replaceable
    from careedu.methods.building import build_method
    from careedu.show.plots import plot_recalls

    method = build_method(options.method, **_pairs(options.method_option, "--method-option"))
    thinned = _pairs(options.thin, "--thin")
    data = careedu.load(
        options.data,
        size=options.size,
        imbalance=options.imbalance,
        counts=thinned or None,
        seed=options.seed,
        **_pairs(options.option, "--option"),
    )
    # Every choice that makes another run makes another folder.
    choices = [f"imbalance={options.imbalance:g}"] if options.imbalance else []
    choices += [*options.option, *options.thin, f"seed={options.seed}"]
    out = options.out or Path("careedu-runs") / _folder_name(data.name, method.label(), *choices)
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    check_replaceable(out, SAVED_RUN)  # before the training, not after it
    run = careedu.fit(
        data,
        method,
        model=options.model,
        epochs=options.epochs,
        seed=options.seed,
        device=options.device,
        checkpoint=checkpoint,
        progress=not options.quiet,
    )
    run.save(out)
    checkpoint.unlink(missing_ok=True)
    figure = plot_recalls(run).save(out / "recall.png")

    print(f"\n{run.method} on {data.name}, seed {options.seed}\n")
    print(_table(run))
    print(f"\nbalanced accuracy {run.interval('balanced accuracy')}")
    print(f"rare recall       {run.interval('rare recall')}  ({', '.join(run.rare)})")
    print("Intervals: 95 %, over groups of test images. They do not tell how far another seed would land.")
    print(f"\n{run.seconds:.1f} seconds of training\nrun saved in {out}\nfigure in {figure}")
    return 0


def _table(run: Any) -> str:
    table = run.table()
    table["95 % interval"] = [f"[{low:.2f}, {high:.2f}]" for low, high in zip(table["low"], table["high"], strict=True)]
    return table.drop(columns=["low", "high"]).to_string(float_format="{:.2f}".format)


def _list(options: argparse.Namespace) -> int:
    from careedu.data.load import available
    from careedu.methods.registry import METHODS
    from careedu.nn.backbones import MODELS

    sections = {
        "data sets": available(),
        "methods": {name: line for name, (_, _, line) in METHODS.items()},
        "networks": MODELS,
    }
    width = max(len(name) for names in sections.values() for name in names)
    for title, names in sections.items():
        print(f"{title}:")
        for name, line in names.items():
            print(f"  {name:{width}}  {line}")
    return 0


def _lab(options: argparse.Namespace) -> int:
    from careedu.course.launch import launch

    return launch(options.folder)


def _pairs(items: Sequence[str], flag: str) -> dict[str, Any]:
    pairs = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not (name and equals and value):
            raise InvalidInputError(f"{flag} {item!r} must read NAME=VALUE")
        if name in pairs:
            raise InvalidInputError(f"{flag} {name}=... is given twice")
        try:
            pairs[name] = json.loads(value)  # numbers, true, false, null
        except json.JSONDecodeError:
            pairs[name] = value
    return pairs


def _folder_name(*parts: str) -> str:
    return "-".join(re.sub(r"[^A-Za-z0-9.]+", "-", part).strip("-") for part in parts)
