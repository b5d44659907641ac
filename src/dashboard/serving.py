"""How gunicorn serves the dashboard; Cloud Run says the port."""

import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"  # noqa: S104 - a container's own
workers = 1  # one process, so that visitors share its cache and its queries
threads = 16
timeout = 0  # Cloud Run ends requests
graceful_timeout = 10
accesslog = None
