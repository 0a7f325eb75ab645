"""What each command of the command line does."""

import hashlib
import json
import os
import re
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from careedu.errors import InvalidInputError

_FLAGS = {name: f"--{name.replace('_', '-')}" for name in ("size", "imbalance", "seed", "rare", "split_seed")}
_RUNS, _WIDTH = Path("careedu-runs"), 80  # columns of a terminal
# What makes no other run; the data are told by their place and content.
_SILENT = ("command", "quiet", "out", "device", "jobs", "report", "data")


def check(options: Namespace) -> int:
    """`careedu check`: the findings of :func:`careedu.audit`, and a page."""
    import careedu
    from careedu.data.load import available

    _free_report(options)
    named = options.data in available()
    chosen = {**_options(options), "split_seed": options.split_seed, "rare": options.rare}
    if not named and options.size is not None:
        raise InvalidInputError("check looks at a folder at a size of its own; leave --size out")
    what, chosen = (careedu.load(options.data, size=options.size, **chosen), {}) if named else (options.data, chosen)
    audit = careedu.audit(what, progress=not options.quiet, **chosen)
    print(audit)
    if options.report is not None:
        print(f"\nreport in {audit.report(options.report)}")
    return 0


def fit(options: Namespace) -> int:
    """`careedu fit`: one run, its table and its figure."""
    import careedu
    from careedu.experiment.run import SAVED_RUN
    from careedu.experiment.saved_folder import check_replaceable
    from careedu.methods.building import build_method
    from careedu.show.plots import plot_recalls

    method = build_method(options.method, **_pairs(options.method_option, "--method-option"))
    if options.out is not None:
        check_replaceable(options.out, SAVED_RUN)
    data = _load(options, seed=options.seed)
    out = _free_folder(options, data, method.label(), f"seed={options.seed}", again=True)
    checkpoint = out.with_name(f"{out.name}.checkpoint")
    run = careedu.fit(data, method, seed=options.seed, checkpoint=checkpoint, **_training(options))
    run.save(out)
    checkpoint.unlink(missing_ok=True)
    _tell(run)
    print(f"\n{run.seconds:.1f} seconds of training\nrun saved in {out}")
    print(f"figure in {plot_recalls(run).save(out / 'recall.png')}")
    return 0


def compare(options: Namespace) -> int:
    """`careedu compare`: methods × seeds, the table, and a report."""
    import careedu

    _free_report(options)
    data = _load(options, seed=0)
    out = _free_folder(options, data, *options.methods, f"seeds={options.seeds}")
    grid = {"seeds": options.seeds, "n_jobs": options.jobs, "store": _RUNS / "store"}
    comparison = careedu.compare(data, options.methods, **grid, **_training(options))
    if not out.exists():  # a comparison that stands there is of the same images and choices
        comparison.save(out)
    _tell_comparison(comparison)
    print(f"\ncomparison saved in {out}")
    if options.report is not None:
        print(f"report in {comparison.report(options.report)}")
    return 0


def show(options: Namespace) -> int:
    """`careedu show`: a saved run or comparison, in words and numbers."""
    import careedu
    from careedu.experiment.run import SAVED_RUN

    if (options.folder / SAVED_RUN.record).is_file():
        _tell(careedu.Run.load(options.folder))
    else:
        _tell_comparison(careedu.Comparison.load(options.folder))
    return 0


def names(options: Namespace) -> int:
    """`careedu list`: everything that can be named."""
    from careedu.data.load import available
    from careedu.methods.registry import METHODS
    from careedu.nn.backbones import MODELS

    methods = {name: line for name, (_, _, line) in METHODS.items()}
    sections = {"data sets": available(), "methods": methods, "networks": MODELS}
    width = max(len(name) for lines in sections.values() for name in lines)
    for title, lines in sections.items():
        print(f"{title}:")
        for name, line in lines.items():
            print(f"  {name:{width}}  {line}")
    return 0


def cache(options: Namespace) -> int:
    """`careedu cache`: what is kept, how much may be, and an end to it."""
    from careedu.data.cache import cache_folder, cache_limit, cached_entries, clear_cache

    sizes = [size for _, size, _ in cached_entries()]
    print(f"{len(sizes)} decoded sets, {sum(sizes) / 1e6:.1f} MB of {cache_limit() / 1e6:.0f} MB, in {cache_folder()}")
    print(f"freed {clear_cache() / 1e6:.1f} MB" if options.clear else "careedu cache --clear removes them")
    return 0


def lab(options: Namespace) -> int:
    """`careedu lab`: the notebooks in JupyterLab."""
    from careedu.course.launch import launch

    return launch(options.folder)


def _load(options: Namespace, seed: int) -> Any:
    import careedu

    flags = {name: getattr(options, name) for name in ("size", "imbalance", "rare", "split_seed")}
    counts = _pairs(options.thin, "--thin") or None
    return careedu.load(options.data, counts=counts, seed=seed, **flags, **_options(options))


def _training(options: Namespace) -> dict[str, Any]:
    """What `fit` and `compare` take alike."""
    return {"progress": not options.quiet, **{name: getattr(options, name) for name in ("model", "epochs", "device")}}


def _options(options: Namespace) -> dict[str, Any]:
    """Options of a data set. What chooses rows of a table stays text: ``fold=01`` is not ``fold=1``."""
    from careedu.data.load import PHANTOMS
    from careedu.data.sources import FOLDER_OPTIONS

    read = _pairs(options.option, "--option")
    as_text = dict(item.split("=", 1) for item in options.option)
    for name in read:
        if name in _FLAGS:
            raise InvalidInputError(f"--option {name}=... has a flag of its own; write {_FLAGS[name]}")
        if options.data not in PHANTOMS and name not in (*FOLDER_OPTIONS, "labels") and "shortcut" not in name:
            read[name] = as_text[name]
    return read


def _free_report(options: Namespace) -> None:
    """Refuse, before the work, a report that would not be written, or in place of another."""
    if options.report is not None and (
        options.report.exists() or options.report.suffix.lower() not in (".html", ".htm")
    ):
        raise InvalidInputError(f"--report {options.report}: name an HTML page that is not there yet, such as new.html")


def _free_folder(options: Namespace, data: Any, *parts: str, again: bool = False) -> Path:
    """Where to save: a name that tells the choices, with a key of them and of the images; it must be free to write."""
    choices = {name: str(value) for name, value in sorted(vars(options).items()) if name not in _SILENT}
    where = os.path.realpath(options.data) if Path(options.data).is_dir() else options.data
    key = hashlib.blake2b(json.dumps([choices, where, data.fingerprint()]).encode(), digest_size=3).hexdigest()
    told = [f"{name}={value:g}" for name in ("imbalance", "size", "epochs") if (value := getattr(options, name))]
    told += [options.model] if options.model != "small" else []
    out = (
        options.out
        or _RUNS / f"{_folder_name(data.name, *parts[:-1], *told, *options.option, *options.thin, parts[-1])}-{key}"
    )
    if out.exists() and (again or options.out):
        raise InvalidInputError(f"{out} is there already, and no run is overwritten; choose another --out")
    there = next(folder for folder in (out.absolute().parent, *out.absolute().parents) if folder.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InvalidInputError(f"{out} cannot be written, as {there} is no folder that may be; choose another --out")
    return out


def _folder_name(*parts: str) -> str:
    name = "-".join(filter(None, (re.sub(r"[^\w.]+", "-", part).strip("-_") for part in parts)))
    return name.encode()[:150].decode(errors="ignore")  # a name may have 255 bytes


def _tell(run: Any) -> None:
    data, table = run.configuration["data"], run.table()
    rows = table[["n test", "recall", "low", "high"]].itertuples(index=False)
    told = [
        (f"{value:.2f}", f"[{low:.2f}, {high:.2f}]") if n else ("no test images", "") for n, value, low, high in rows
    ]
    unmeasured = list(table.index[table["n test"] == 0])
    table["recall"], table["95 % interval"] = zip(*told, strict=True)
    print(f"\n{run.method} on {data['name']}, seed {run.configuration['seed']}\n")
    print(table.drop(columns=["low", "high"]).to_string(line_width=_WIDTH))
    n = len(table)
    of = (
        f"  (of {n - len(unmeasured)} of {n} classes: {', '.join(unmeasured)} cannot be measured)" if unmeasured else ""
    )
    print(f"\nbalanced accuracy {run.interval('balanced accuracy')}{of}")
    rare = [name for name in run.rare if name not in unmeasured]
    print(
        f"rare recall       {run.interval('rare recall')}  ({', '.join(rare)})"
        if rare
        else "rare recall       not measured"
    )
    print("Intervals: 95 %, over groups of test images. They do not tell how far another seed would land.")


def _tell_comparison(comparison: Any) -> None:
    data, seeds = comparison.first.configuration["data"]["name"], len(comparison.seeds)
    print(f"\n{len(comparison.methods)} methods on {data}, {seeds} seeds, {', '.join(comparison.rare)} rare\n")
    for metric in ("rare recall", "balanced accuracy"):
        print(comparison.summary([metric]).to_string(line_width=_WIDTH), end="\n\n")
    print("Intervals: 95 %, over seeds and groups of test images; verdicts by paired differences, Holm-adjusted.")


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
