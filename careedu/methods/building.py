"""Methods made from their names and options: what a command line, a saved run or a table of arms gives."""

from collections.abc import Mapping
from typing import Any

from careedu.errors import InvalidInputError, UnknownNameError, check_known
from careedu.methods.method import Method
from careedu.methods.registry import OWN, method_class


def build_method(name: str, **options: Any) -> Method:
    """Make a method from its name and options, as a command line or a saved run gives them.

    Parameters
    ----------
    name : str
        A key of `METHODS`, or the name of a class of your own.
    **options
        The method's options. An option that is itself a method is given as ``{"method": name, ...}``.

    Returns
    -------
    Method

    Raises
    ------
    UnknownNameError
        If the method or an option does not exist; the message suggests the nearest.
    """
    cls = method_class(name)
    known = cls.declared_options()
    for option, value in options.items():
        check_known(f"option of method {name!r}", option, known)
        if isinstance(value, dict) and "method" in value:
            inner = dict(value)
            options[option] = build_method(inner.pop("method"), **inner)
    try:
        return cls(**options)
    except TypeError as error:
        raise InvalidInputError(f"method {name!r} cannot be made with {options}: {error}") from error


def rebuild_method(record: Mapping[str, Any]) -> Method:
    """Make the method of a saved run.

    Parameters
    ----------
    record : mapping
        What the run's configuration says of its method: "name", "options", and "own classes" where there are any.

    Returns
    -------
    Method

    Raises
    ------
    UnknownNameError
        If a class of somebody's own, that the run was made with, is not there; the message says which.
    InvalidInputError
        If it is there and no longer takes these options, or the record is none of a method.
    """
    try:
        for name, place in record.get("own classes", {}).items():
            if name not in OWN:
                module, _, class_name = place.partition(":")
                raise UnknownNameError(
                    f"the method {name!r} of this run is the class {class_name} of the module {module}, which is not "
                    "careedu's and not defined here: run the cell, or import the module, that defines it"
                )
        return build_method(record["name"], **record["options"])
    except (TypeError, AttributeError, RecursionError) as error:
        raise InvalidInputError(
            f"no method can be made of what is saved of it, {str(dict(record))[:200]}: {error}"
        ) from error
