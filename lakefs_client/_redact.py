"""Keep secrets out of what people read: messages, reprs, logs."""

from __future__ import annotations

TYPE_CHECKING: bool = False
if TYPE_CHECKING:
    import re

HIDDEN = "***"

# The query parameters by which a signed URL grants access: AWS Signature Version 4 and 2,
# Google's V4 and V2, Azure's shared access signature.
_SIGNED = (
    "X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token|"
    "X-Goog-Signature|X-Goog-Credential|AWSAccessKeyId|GoogleAccessId|Signature|sig"
)
# Servers quote a body that they refuse, so its secrets come back in the message.
_PROPERTIES = "secret_access_key|token|password"
_patterns: tuple[re.Pattern[str], ...] | None = None


def redact(text: str) -> str:
    """Hide what signs a URL, the values of cookies and credentials in headers, secrets in JSON."""
    global _patterns
    if _patterns is None:
        import re

        _patterns = (
            re.compile(rf"((?:[?&;]|\\u0026)(?:{_SIGNED})=)[^&\s\"'<>\\]+", re.IGNORECASE),
            re.compile(
                r"((?:Set-Cookie|Cookie|Authorization|Proxy-Authorization)['\"]?\s*[:,]\s*)"
                r"('[^']*'|\"[^\"]*\"|[^\r\n]+)",
                re.IGNORECASE,
            ),
            re.compile(rf"""(\\*["'](?:{_PROPERTIES})\\*["']\s*:\s*\\*["'])[^"'\\]+"""),
        )
    for pattern in _patterns:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text
