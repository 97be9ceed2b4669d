"""Reports: from scores to tables and figures."""
