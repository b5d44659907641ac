"""Settings of gunicorn for the copier; Cloud Run sets the port."""

import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"  # noqa: S104 - the container's own network
workers = 1
threads = 4
timeout = 0  # Cloud Run limits requests, and a sweep has its own deadline
graceful_timeout = 10
accesslog = None
