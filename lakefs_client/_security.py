"""Names of the API document's security schemes."""

from __future__ import annotations

SESSION_COOKIES = {
    "cookie_auth": "internal_auth_session",
    "oidc_auth": "oidc_auth_session",
    "saml_auth": "saml_auth_session",
}
"""Name of the session cookie that each cookie scheme sends."""

ALL_SCHEMES = ("basic_auth", "cookie_auth", "jwt_token", "oidc_auth", "saml_auth")
"""Every scheme; an operation without authentication is declared with ()."""
