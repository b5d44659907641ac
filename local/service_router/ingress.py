"""The listeners at the services' URLs, which admit only callers that may invoke the service, as Cloud Run does.

https://cloud.google.com/run/docs/troubleshooting#unauthorized-client
"""

import html
import logging
from http import HTTPStatus
from threading import Lock
from urllib.parse import urlsplit

from local.environment.environment import LocalEnvironment
from local.http.proxy import Decision, Proxy, ProxyResponse
from local.http.request import Request
from local.processes.ports import LOOPBACK
from local.service_router.router import ServiceRouter

LOG = logging.getLogger(__name__)

# Google's page; the reason is only in the service's log.
PAGE = """
<html><head>
<meta http-equiv="content-type" content="text/html;charset=utf-8">
<title>{code} {phrase}</title>
</head>
<body text=#000000 bgcolor=#ffffff>
<h1>Error: {phrase}</h1>
<h2>Your client does not have permission to {what} <code>{path}</code>{where}.</h2>
<h2></h2>
</body></html>
"""
HTML = "text/html; charset=UTF-8"


class Ingress:
    """The listeners of one environment, by URL; safe to use from any thread."""

    def __init__(self, environment: LocalEnvironment) -> None:
        self._router = environment.service(ServiceRouter)
        self._listeners: dict[str, list[Proxy]] = {}
        self._upstreams: dict[str, str] = {}
        self._user_proxies: dict[str, str] = {}
        self._lock = Lock()

    def listen(self, port: int, upstream: str) -> str:
        """Listen on a loopback port for the workload at `upstream`; return the service's URL."""
        url = f"http://{LOOPBACK}:{port}"

        def decide(request: Request) -> Decision:
            denial = self._router.check_invoker(url, request.headers.get("authorization", ""))
            if denial is None:
                return Decision(is_media=True)
            LOG.warning("%s %s: %s", request.method, request.target, denial)
            return Decision(_error_page(denial.status, request.path))

        slot = lambda: self._router.slot(url)  # noqa: E731
        with self._lock:
            self._listeners[url] = [Proxy("ingress", upstream, decide, port=port, slot=slot)]
            self._upstreams[url] = upstream
        return url

    def open_user_proxy(self, url: str) -> str:
        """Return a URL at which the user of this host opens a service, as with `gcloud run services proxy`."""
        with self._lock:
            if url in self._user_proxies:
                return self._user_proxies[url]
            upstream = self._upstreams[url]

        def decide(request: Request) -> Decision:
            # Another host name for this address would let another site's page read the data (DNS rebinding).
            names = {f"{name}:{urlsplit(user_proxy.url).port}" for name in (LOOPBACK, "localhost")}
            if request.headers.get("host") not in names:
                return Decision(_error_page(HTTPStatus.FORBIDDEN, request.path))
            return Decision(is_media=True)

        user_proxy = Proxy("personal ingress", upstream, decide, slot=lambda: self._router.slot(url))
        with self._lock:
            self._listeners[url].append(user_proxy)
            self._user_proxies[url] = user_proxy.url
        return user_proxy.url

    def stop(self, url: str) -> None:
        """Stop listening for a workload."""
        with self._lock:
            listeners = self._listeners.pop(url, [])
            self._upstreams.pop(url, None)
            self._user_proxies.pop(url, None)
        for each in listeners:
            each.close()

    def close(self) -> None:
        """Stop listening for all workloads."""
        for url in list(self._listeners):
            self.stop(url)


def _error_page(status: int, path: str) -> ProxyResponse:
    found = HTTPStatus(status)
    is_forbidden = found == HTTPStatus.FORBIDDEN
    text = PAGE.format(
        code=int(found),
        phrase=found.phrase,
        what="get URL" if is_forbidden else "the requested URL",
        path=html.escape(path),
        where=" from this server" if is_forbidden else "",
    )
    return ProxyResponse(int(found), text.encode(), HTML)
