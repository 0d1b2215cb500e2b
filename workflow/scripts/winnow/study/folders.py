"""Names in the folders of studies that a study or a data set cannot have."""

from __future__ import annotations

BESIDE_STUDIES = ("data",)
"""What lies in results/ beside the folders of studies."""
BESIDE_DATASETS = (
    *("best", "figures", "live", "logs", "tables"),
    *("confusion.csv", "history.csv", "layers.csv", "results.csv", "recommendation.json"),
    *("overview.html", "report.html", "start_page.rst", "undrawn.json"),
)
"""What lies in results/<study>/, or in its figures/, beside the folders of data sets."""
