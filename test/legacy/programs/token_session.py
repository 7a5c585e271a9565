"""A session with a login: a bearer token, default headers, and calls by path."""

from __future__ import annotations

from typing import Any

import lakefs_client
from lakefs_client.apis import AuthApi, RepositoriesApi
from lakefs_client.models import CurrentUser, LoginInformation, RepositoryCreation


def main(endpoint: str, key: str, secret: str) -> dict[str, Any]:
    host = f"{endpoint}/api/v1"
    anonymous = lakefs_client.ApiClient(lakefs_client.Configuration(host=host))
    token = AuthApi(anonymous).login(
        login_information=LoginInformation(access_key_id=key, secret_access_key=secret)
    )
    configuration = lakefs_client.Configuration(host=host, access_token=token.token)
    lakefs_client.Configuration.set_default(configuration)
    try:
        client = lakefs_client.ApiClient(header_name="X-Request-Source", header_value="session")
        client.user_agent = "session/1.0"
        RepositoriesApi(client).create_repository(
            RepositoryCreation("session", "s3://sandbox/session")
        )
        data, status, headers = client.call_api(
            "/user",
            "GET",
            response_type=(CurrentUser,),
            auth_settings=["jwt_token"],
        )
        repositories: Any = RepositoriesApi(client)
        listed, status2, _ = repositories.list_repositories(amount=10, _return_http_data_only=False)
    finally:
        lakefs_client.Configuration.set_default(None)
    return {
        "user": data.user["id"],
        "status": (status, status2),
        "type": headers["Content-Type"],
        "repositories": [item["id"] for item in listed["results"]],
    }
