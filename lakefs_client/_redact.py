"""Redaction of what people read: messages, reprs and logs.

Secrets are hidden by their place (a signature in a URL, a credential in a header, a property of
JSON) and, where the client knows them, by their value. Everything takes time linear in the text.
"""

from __future__ import annotations

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Mapping

HIDDEN = "***"

MAX_SHOWN = 1 << 16
"""Characters of a body that a message shows."""

# The query parameters by which a signed URL grants access: AWS Signature Version 4 and 2,
# Google's V4 and V2, Azure's shared access signature.
_SIGNED = (
    "X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|"
    "X-Goog-Signature|X-Goog-Credential|AWSAccessKeyId|GoogleAccessId|Signature|sig"
)
# Servers quote a body that they refuse, so its secrets come back in the message.
_NAMES = "token|secret|password|passwd|secret_?access_?key|private_?key|api_?key"
# A shorter value is too likely to occur by chance.
_SHORTEST = 4
_HARMLESS_HEADERS = """
accept accept-encoding accept-language content-type content-length host if-match if-none-match
range user-agent x-request-id traceparent
"""
_patterns: tuple[re.Pattern[str], ...] | None = None
_escapes: dict[int, str] = {}


class Secret(str):
    """Text whose repr hides it, as tools show the variables of a traceback by their reprs."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{HIDDEN}'"


def redact(text: str) -> str:
    """Hide signatures of URLs, values of cookies and credentials in headers, secrets in JSON."""
    global _patterns
    if _patterns is None:
        import re

        # No pattern scans a part of the text again for each place where it could begin.
        _patterns = (
            re.compile(rf"((?:[?&;]|\\u0026)(?:{_SIGNED})=)[^&\s\"'<>\\]+", re.IGNORECASE),
            re.compile(
                r"((?:Cookie|Authorization)['\"]?\s{0,8}[:,]\s{0,8})"
                r"('[^'\r\n]*'|\"[^\"\r\n]*\"|[^\r\n]+)",
                re.IGNORECASE,
            ),
            re.compile(
                rf"""(["'][\w-]{{0,64}}(?:{_NAMES})\\{{0,64}}["']\s{{0,8}}:\s{{0,8}}\\{{0,64}}["'])"""
                r"""[^"'\\]+(?:\\+[^"'\\]+)*""",
                re.IGNORECASE,
            ),
        )
    for pattern in _patterns:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def is_secret_name(name: str) -> bool:
    """Return True if a property of this name is likely to hold a secret."""
    bare = name.lower().replace("-", "").replace("_", "")
    return bare.endswith(tuple(_NAMES.replace("_?", "").split("|")))


def hide(text: str, secrets: Iterable[str]) -> str:
    """Hide secrets by their value, also in the forms that JSON, URLs and reprs give them."""
    from json import dumps
    from urllib.parse import quote

    for secret in secrets:
        if len(secret) >= _SHORTEST:
            for form in {secret, dumps(secret)[1:-1], quote(secret, safe=""), repr(secret)[1:-1]}:
                text = text.replace(form, HIDDEN)
    return text


def secrets_of(url: str, headers: Mapping[str, str]) -> list[str]:
    """Return the secrets of a request: credentials, cookies, own headers, what signs its URL."""
    from base64 import b64decode
    from urllib.parse import unquote

    found = []
    for name, value in headers.items():
        if name.lower() == "authorization":
            scheme, _, credentials = value.partition(" ")
            found.append(credentials or value)
            if scheme.lower() == "basic":
                found.append(b64decode(credentials).decode("utf-8", "replace").partition(":")[2])
        elif name.lower() == "cookie":
            found += [cookie.partition("=")[2] for cookie in value.split("; ")]
        elif name.lower() not in _HARMLESS_HEADERS.split():
            found.append(value)
    signed = {name.lower() for name in _SIGNED.split("|")}
    for parameter in url.partition("?")[2].split("&"):
        name, _, value = parameter.partition("=")
        if name.lower() in signed:
            found += [value, unquote(value)]
    # The longest first: a secret may be a part of another.
    return sorted(filter(None, found), key=len, reverse=True)


def shown(value: object) -> str:
    """Return a value's text for a message: without secrets, printable, and cut off at a limit."""
    text = str(value)
    more = len(text) - MAX_SHOWN
    if more > 0:
        text = f"{text[:MAX_SHOWN]} ({more} more characters)"
    return printable(redact(text), lines=True)


def printable(text: str, *, lines: bool = False) -> str:
    """Escape control characters, which could forge lines of a log or steer a terminal.

    Args:
        text: The text.
        lines: Keep line feeds and tabs, and indent the lines that follow the first.
    """
    if text.isprintable():
        return text
    if not _escapes:
        # Control characters, separators of lines, and what turns the direction of writing.
        codes = [*range(32), *range(127, 160), 0x2028, 0x2029, *range(0x202A, 0x202F)]
        codes += range(0x2066, 0x206A)
        _escapes.update({code: ascii(chr(code))[1:-1] for code in codes})
    if lines:
        text = text.replace("\r\n", "\n")
        return "\n    ".join(line.translate(_escapes | {9: "\t"}) for line in text.split("\n"))
    return text.translate(_escapes)
