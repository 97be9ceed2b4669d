"""The report: a study's answer, and all of its tables, figures and pages, as one HTML file."""
