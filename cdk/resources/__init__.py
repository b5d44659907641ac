"""What the workloads share: service accounts, buckets, datasets and tables, views, uploaded artifacts."""
