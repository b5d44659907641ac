"""Find secrets by their form, whatever the variable is called.

Each form has a literal marker: a pattern is tried only where its marker occurs, so that a large plan costs one scan for
each marker. The forms are those that the issuers document and that secret scanners (gitleaks, GitHub) look for.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

SHORTEST = 8  # characters of a text that are searched
BETWEEN = "\n\0\n"  # keeps one text apart from the next; no pattern crosses it
# Markers → pattern. A group named `secret` is the secret; without one the whole match is.
_FORMS: tuple[tuple[tuple[str, ...], str], ...] = (
    # A password in a URL, or a long user name alone, which is how Sentry and others write a key.
    (("://",), r"://[^/\s:@\0]*:(?P<secret>[^/\s@\0]{4,})@"),
    (("://",), r"://(?P<secret>(?=[^@/\s]*\d)[A-Za-z0-9_-]{16,})@"),
    # A key in a URL's query.
    (
        ("=",),
        r"[?&](?:access_?token|auth_?token|token|api_?key|key|sig|signature|secret|client_secret|password|passwd|pwd|"
        r"x-goog-signature|x-amz-signature|x-amz-security-token)=(?P<secret>[^&\s\"'<>$\0]{8,})(?=[&\s\"'<>\0]|$)",
    ),
    # Connection strings: libpq, ADO.NET, Azure.
    (
        ("=",),
        r"(?:^|[;\s\"'\0])(?:password|passwd|pwd|accountkey|sharedaccesskey|accesskey)\s*=\s*"
        r"(?P<secret>[^;\s\"'$\0]{6,})",
    ),
    (
        ("earer ", "asic ", "oken "),
        r"(?:\bBearer|\bBasic|\bAuthorization:\s*token)\s+(?P<secret>[A-Za-z0-9_.~+/=-]{16,})",
    ),
    (("PRIVATE KEY",), r"-----BEGIN [A-Z ]*PRIVATE KEY(?: BLOCK)?-----[^\0-]*(?:-----END [A-Z ]*-----)?"),
    (("AGE-SECRET-KEY-",), r"AGE-SECRET-KEY-1[0-9A-Z]{20,}"),
    # GitHub, GitLab, Bitbucket and Atlassian.
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), r"\bgh[pousr]_[A-Za-z0-9]{16,}"),
    (("github_pat_",), r"\bgithub_pat_\w{20,}"),
    (("gl",), r"\bgl(?:pat|dt|rt|rtr|cbt|ptt|ft|imt|agent|oas|soat|ffct)-[\w.-]{16,}"),
    (("ATATT", "ATCTT", "ATBB"), r"\bAT(?:ATT3|CTT3|BB)[\w=-]{16,}"),
    # Slack, Discord, Microsoft Teams, Google Chat, Telegram.
    (("xox",), r"\bxox[a-z](?:\.xox[a-z])?-[\w-]{8,}"),
    (("xapp-",), r"\bxapp-\d-[\w-]{8,}"),
    (("hooks.slack", "slack-gov"), r"hooks\.slack(?:-gov)?\.com/(?P<secret>[\w/-]{8,})"),
    (("/api/webhooks/",), r"/api/webhooks/(?P<secret>\d+/[\w-]{8,})"),
    (
        ("webhook.office.com", "logic.azure.com"),
        r"(?:webhook\.office|logic\.azure)\.com[:\d]*/(?P<secret>[^\s\"'\0]{8,})",
    ),
    ((":AA",), r"\b\d{6,12}:AA[\w-]{30,}"),
    # AWS, Google, Azure, DigitalOcean, Cloudflare.
    (("AKIA", "ASIA", "ABIA", "ACCA"), r"\bA(?:KIA|SIA|BIA|CCA)[A-Z0-9]{12,}\b"),
    (("AIza",), r"\bAIza[\w-]{30,}"),
    (("ya29.",), r"\bya29\.[\w-]{16,}"),
    (("GOCSPX-",), r"\bGOCSPX-[\w-]{16,}"),
    (("1//",), r"(?<![\w/])1//[\w-]{30,}"),
    (("GOOG",), r"\bGOOG1?[A-Z0-9]{16,}\b"),
    (("_v1_",), r"\bdo[opr]_v1_[0-9a-f]{32,}"),
    # Stripe, Square, Shopify, payment.
    (("sk_", "rk_", "pk_"), r"\b(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{8,}"),
    (("whsec_",), r"\bwhsec_[A-Za-z0-9+/=_-]{16,}"),
    (("sq0",), r"\bsq0[a-z]{3}-[\w-]{16,}"),
    (("shp",), r"\bshp(?:at|ca|pa|ss)_[0-9A-Za-z]{16,}"),
    # Registries of packages and images.
    (("npm_",), r"\bnpm_[A-Za-z0-9]{20,}"),
    (("pypi-",), r"\bpypi-[\w-]{30,}"),
    (("dckr_",), r"\bdckr_(?:pat|oat)_[\w-]{16,}"),
    (("rubygems_",), r"\brubygems_[0-9a-f]{32,}"),
    # Mail, telephone, monitoring.
    (("SG.",), r"\bSG\.[\w-]{12,}\.[\w-]{12,}"),
    (("key-",), r"\bkey-[0-9a-f]{32}\b"),
    (("SK",), r"\bSK[0-9a-f]{32}\b"),
    (("glc_", "glsa_"), r"\bgl(?:c|sa)_[A-Za-z0-9+/=_]{20,}"),
    (("NRAK-", "NRJS-", "NRII-"), r"\bNR(?:AK|JS|II)-[\w-]{16,}"),
    (("sntry",), r"\bsntry[su]_[\w+/=.-]{20,}"),
    (("PMAK-",), r"\bPMAK-[\w-]{20,}"),
    # Vault, Terraform, data platforms, models.
    (("hvs.", "hvb.", "hvr."), r"\bhv[sbr]\.[\w-]{16,}"),
    (("atlasv1.",), r"\b[A-Za-z0-9]{10,}\.atlasv1\.[\w-]{20,}"),
    (("dapi",), r"\bdapi[0-9a-f]{32}"),
    (("pscale_",), r"\bpscale_(?:tkn|pw|oauth)_[\w.=-]{16,}"),
    (("dp.",), r"\bdp\.(?:pt|st|ct|sa|scim|audit)\.[\w.]{16,}"),
    (("sbp_",), r"\bsbp_[0-9a-f]{20,}"),
    (("hf_",), r"\bhf_[A-Za-z0-9]{20,}"),
    (("sk-",), r"\bsk-(?:proj-|ant-|svcacct-)?[\w-]{20,}"),
    (("lin_api_",), r"\blin_api_[A-Za-z0-9]{20,}"),
    (("fo1_", "fm1_", "fm2_"), r"\bf(?:o1|m1|m2)_[\w+/=-]{20,}"),
    # A signed token of any issuer.
    (("eyJ",), r"\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*"),
)  # fmt: skip
FORMS = tuple(
    (markers, re.compile(pattern, re.IGNORECASE if markers == ("=",) else 0)) for markers, pattern in _FORMS
)


def find_secrets_by_form(value: Any) -> Iterator[str]:
    """Yield each secret found by its form in any text of a JSON value, except keys."""
    found: set[str] = set()
    stack = [value]
    while stack:
        each = stack.pop()
        if isinstance(each, Mapping):
            stack.extend(each.values())
        elif isinstance(each, list):
            stack.extend(each)
        elif isinstance(each, str) and len(each) >= SHORTEST:
            found.add(each)
    joined = BETWEEN.join(sorted(found))
    for markers, pattern in FORMS:
        if any(marker in joined for marker in markers):
            for match in pattern.finditer(joined):
                secret = match["secret"] if "secret" in pattern.groupindex else match[0]
                if "${" not in secret:
                    yield secret
