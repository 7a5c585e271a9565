"""Bearer tokens that renew themselves: by access key, by STS, by an AWS identity.

``configuration.token_provider = AccessKeyLogin(key_id, secret)``

A provider logs in when the first request needs a token, again before the token ends, and once if
the server rejects it. One thread logs in; others wait, or use the old token while it is valid.
Tokens stay in memory.
"""

from __future__ import annotations

import logging
import os
import threading
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from lakefs_client._redact import HIDDEN
from lakefs_client.api.auth_api import AuthApi
from lakefs_client.api.experimental_api import ExperimentalApi
from lakefs_client.exceptions import ApiTypeError, ApiValueError
from lakefs_client.model.external_login_information import ExternalLoginInformation
from lakefs_client.model.login_information import LoginInformation
from lakefs_client.rest import repeat
from lakefs_client.retry import is_inconclusive, retry_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lakefs_client.api_client import ApiClient
    from lakefs_client.model.authentication_token import AuthenticationToken
    from lakefs_client.model.sts_auth_request import StsAuthRequest

logger = logging.getLogger("lakefs_client")

RENEW_BEFORE = 300.0  # seconds before the end, as lakectl has it, or a fifth of a shorter life
RETRY_AFTER = 10.0  # seconds until the next try when a renewal failed and the old token is valid


class Issued(NamedTuple):
    """A token in use. The times are seconds on the client's monotonic clock."""

    host: str
    token: str
    renew_at: float
    ends_at: float

    def __repr__(self) -> str:
        return f"Issued(host={self.host!r}, token={HIDDEN!r})"


class Login:
    """The login that one thread makes while others wait."""

    def __init__(self) -> None:
        self.thread = threading.get_ident()
        self.done = threading.Event()
        self.error: Exception | None = None


class LoginProvider:
    """The base of the providers: when to log in, and in which thread.

    A subclass implements `log_in`. A provider can be shared by clients. It can be pickled, without
    its token, if what it was made of can be.
    """

    def __init__(self) -> None:
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._issued: Issued | None = None
        self._login: Login | None = None

    def log_in(self, api_client: ApiClient) -> tuple[AuthenticationToken, int, Mapping[str, str]]:
        """Send the login, and return the result with the status and the headers.

        Args:
            api_client: The client to call through.
        """
        raise NotImplementedError

    def token(self, api_client: ApiClient) -> str:
        """Return a valid token, after a login if it is necessary.

        Raises:
            ApiException: The login failed, and there is no valid token.
        """
        host = api_client.configuration.host
        clock = api_client.rest_client.timing.clock
        while True:
            with self._own_lock():
                issued, login = self._issued, self._login
                if issued is not None and issued.host != host:
                    issued = None  # a token is for the server that issued it
                now = clock()
                if issued is not None and now < issued.renew_at:
                    return issued.token
                usable = issued if issued is not None and now < issued.ends_at else None
                if login is None:
                    mine = self._login = Login()
                    break
            if usable is not None:
                return usable.token
            if login.thread == threading.get_ident():
                raise ApiValueError(f"{self!r}: the login called an operation that needs its token")
            login.done.wait()
            if login.error is not None:
                raise login.error
        return self._lead(mine, api_client, usable)

    def reject(self, token: str) -> None:
        """Forget a token that the server rejected, unless a newer one has replaced it."""
        with self._own_lock():
            if self._issued is not None and self._issued.token == token:
                self._issued = None

    def _own_lock(self) -> threading.Lock:
        if self._process != os.getpid():
            # In a forked child a thread that is not there may hold the lock, or be logging in.
            self._reset()
        return self._lock

    def _lead(self, login: Login, api_client: ApiClient, usable: Issued | None) -> str:
        """Log in for all threads that wait. A token that is still valid outlasts a failure."""
        issued = usable
        try:
            issued = self._issue(api_client)
            return issued.token
        except Exception as error:
            if usable is None:
                login.error = error
                raise
            now = api_client.rest_client.timing.clock()
            issued = usable._replace(renew_at=min(now + RETRY_AFTER, usable.ends_at))
            logger.warning("%r: renewing the token failed, the old one is used: %s", self, error)
            return issued.token
        finally:
            with self._lock:
                self._issued, self._login = issued, None
            login.done.set()

    def _issue(self, api_client: ApiClient) -> Issued:
        timing = api_client.rest_client.timing
        asked = timing.clock()
        # A login has no effect, so that a second one does no harm.
        answer, _, headers = repeat(
            lambda: self.log_in(api_client),
            is_inconclusive,
            retry_policy(api_client.configuration.retries),
            timing,
        )
        lifetime = _lifetime(answer, headers)
        renew_in = lifetime - min(RENEW_BEFORE, lifetime / 5)
        return Issued(
            api_client.configuration.host, answer.token, asked + renew_in, asked + lifetime
        )

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in _OWN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._reset()


_OWN = ("_process", "_lock", "_issued", "_login")


class AccessKeyLogin(LoginProvider):
    """Tokens for an access key pair, so that the secret is not sent with every request.

    Args:
        access_key_id: The access key id.
        secret_access_key: The secret access key.
    """

    def __init__(self, access_key_id: str, secret_access_key: str) -> None:
        super().__init__()
        self._information = LoginInformation(access_key_id, secret_access_key)

    def log_in(self, api_client: ApiClient) -> tuple[AuthenticationToken, int, Mapping[str, str]]:
        """Exchange the pair for a token."""
        login: Any = AuthApi(api_client).login
        answer: tuple[AuthenticationToken, int, Mapping[str, str]] = login(
            login_information=self._information, _return_http_data_only=False
        )
        return answer

    def __repr__(self) -> str:
        return f"AccessKeyLogin({self._information.access_key_id!r})"


class StsLogin(LoginProvider):
    """Tokens for authorization codes from an identity provider.

    Args:
        get_code: Called for each login, in one thread at a time; returns the body of
            `ExperimentalApi.sts_login`. A code is good for one login. The function must not call
            operations of a client that waits for the token.
    """

    def __init__(self, get_code: Callable[[], StsAuthRequest | dict[str, Any]]) -> None:
        super().__init__()
        if not callable(get_code):
            raise ApiTypeError("StsLogin: get_code must be a function, since a code is used once")
        self._get_code = get_code

    def log_in(self, api_client: ApiClient) -> tuple[AuthenticationToken, int, Mapping[str, str]]:
        """Exchange a new code for a token."""
        login: Any = ExperimentalApi(api_client).sts_login
        answer: tuple[AuthenticationToken, int, Mapping[str, str]] = login(
            self._get_code(), _return_http_data_only=False
        )
        return answer

    def __getstate__(self) -> dict[str, Any]:
        import pickle

        try:
            pickle.dumps(self._get_code)
        except Exception as error:
            raise ApiTypeError(
                f"StsLogin cannot be pickled, since its function cannot be: {error}. "
                "Give a function of a module."
            ) from None
        return super().__getstate__()

    def __repr__(self) -> str:
        return f"StsLogin({getattr(self._get_code, '__qualname__', '…')})"


class AwsIamLogin(LoginProvider):
    """Tokens for the AWS identity of this process: a role, a profile, or AWS's variables.

    The user of lakeFS must have that identity as an external principal; servers of the open-source
    edition answer 501. Needs botocore, the extra ``[aws]``. The arguments have lakectl's names.

    Args:
        token_ttl_seconds: Wanted life of a token, in seconds.
        url_presign_ttl_seconds: Life of the proof of identity, in seconds.
        token_request_headers: Headers that the proof signs. Default: ``X-LakeFS-Server-ID`` with
            the server's host name, which keeps another server from using the proof.
    """

    def __init__(
        self,
        token_ttl_seconds: int = 3600,
        url_presign_ttl_seconds: int = 60,
        token_request_headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("token_ttl_seconds", token_ttl_seconds),
            ("url_presign_ttl_seconds", url_presign_ttl_seconds),
        ):
            if type(value) is not int:
                raise ApiTypeError(f"AwsIamLogin: {name} must be an int, a number of seconds")
            if value < 1:
                raise ApiValueError(f"AwsIamLogin: {name} must be at least 1")
        self._token_ttl = token_ttl_seconds
        self._proof_ttl = url_presign_ttl_seconds
        self._headers = None if token_request_headers is None else dict(token_request_headers)

    def log_in(self, api_client: ApiClient) -> tuple[AuthenticationToken, int, Mapping[str, str]]:
        """Exchange a new proof of identity for a token."""
        from lakefs_client._aws_identity import identity_token

        proof = identity_token(api_client.configuration.host, self._proof_ttl, self._headers)
        information = ExternalLoginInformation(
            {"identity_token": proof}, token_expiration_duration=self._token_ttl
        )
        login: Any = AuthApi(api_client).external_principal_login
        answer, status, headers = login(
            external_login_information=information, _return_http_data_only=False
        )
        return answer, status, headers

    def __repr__(self) -> str:
        return f"AwsIamLogin({self._token_ttl}, {self._proof_ttl})"


def _lifetime(answer: AuthenticationToken, headers: Mapping[str, str]) -> float:
    """Return the seconds that a token is good for, by the server's clock; infinite if unknown."""
    end = answer.get("token_expiration")
    try:
        lifetime = end - parsedate_to_datetime(headers.get("Date") or "").timestamp()
    except (TypeError, ValueError, OverflowError):
        return float("inf")
    # A token that has expired on arrival means that the clocks disagree: the server's 401 decides.
    return lifetime if lifetime > 0 else float("inf")
