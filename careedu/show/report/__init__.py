"""The report of a comparison: one HTML file that needs nothing else."""

from careedu.show.report.page import report_page, write_report

__all__ = ["report_page", "write_report"]
