"""How gunicorn serves the copier; Cloud Run says the port."""

import os

bind = f"{os.environ.get('HOST', '0.0.0.0')}:{os.environ.get('PORT', '8080')}"  # noqa: S104 - a container's own
workers = 1
threads = 4
timeout = 0  # Cloud Run ends requests; a sweep keeps its own deadline
graceful_timeout = 10
accesslog = None
