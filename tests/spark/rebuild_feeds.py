"""`spark-submit … rebuild_feeds.py FEEDS ARGUMENTS`: the batch job of several feeds, one after another in one JVM."""

import sys

from spark import cluster, main

run_hours = cluster.start_spark("feeds")
cluster.start_spark = lambda name: run_hours  # one Spark context serves the runs of all feeds
names, *arguments = sys.argv[1:]
sys.exit(max(main.main([*arguments, "--feed", name]) for name in names.split(",")))
