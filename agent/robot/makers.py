"""The files that enter controllers and parts to train: `make_*.py` of this package."""

import importlib
import pkgutil


def import_makers() -> None:
    """Import them all, so that what they enter is registered."""
    import agent.robot as package  # noqa: PLC0415 - its files import this one

    for module in pkgutil.iter_modules(package.__path__):
        if module.name.startswith("make_"):
            importlib.import_module(f"{package.__name__}.{module.name}")
