"""The gunicorn configuration; Cloud Run sets the port."""

import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"  # noqa: S104 - a container's own
workers = 1  # one process, so that all visitors share the cache
threads = 16
timeout = 0  # Cloud Run limits the duration of requests
graceful_timeout = 10
accesslog = None
