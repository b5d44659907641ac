"""Benchmarks of the batch: throughput, exactness, Dataproc images, and the size of the original tutorial."""
