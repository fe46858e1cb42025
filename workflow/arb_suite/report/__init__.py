"""The report: one page with every claim, verdict, table and figure."""
