"""A case for every row of the registry that holds a network."""

from __future__ import annotations

from tests.weights.cases import faces, measures, synthesis
from tests.weights.cases.case import Case, Cases, largest_error

__all__ = ["Case", "Cases", "cases", "largest_error"]


def cases(full: bool = False) -> Cases:
    """Row -> its case, at the published sizes or at small ones of the same layouts."""
    return {**faces.cases(full), **synthesis.cases(full), **measures.cases(full)}
