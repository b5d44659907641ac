"""The driver's side of a run: plan the days, reconcile the counts, replace the days in BigQuery."""
