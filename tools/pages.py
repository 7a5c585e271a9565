"""Reference pages: a page per group of operations and per model, and the index."""

from __future__ import annotations

import textwrap
from typing import Any

from apidoc import Document, Model, Operation, Response, Value, class_name, snake

_METHODS = "basic_auth, cookie_auth, jwt_token, oidc_auth, saml_auth"
_EXAMPLES = {
    "repository": "example-repo",
    "branch": "main",
    "ref": "main",
    "source_ref": "dev",
    "destination_branch": "main",
    "left_ref": "main",
    "right_ref": "dev",
    "path": "data/part-0001.csv",
    "dest_path": "data/copy.csv",
    "user_id": "admin",
    "principal_id": "arn:aws:sts::123456789012:assumed-role/team/session",
    "tag": "v1.0",
    "commit_id": "COMMIT_ID",
    "group_id": "Analysts",
    "policy_id": "ReadExampleRepo",
    "access_key_id": "AKIAIOSFODNN7EXAMPLE",
    "upload_id": "UPLOAD_ID",
    "pull_request": "PULL_REQUEST_ID",
    "task_id": "TASK_ID",
    "run_id": "RUN_ID",
    "hook_run_id": "HOOK_RUN_ID",
    "meta_range": "META_RANGE_ID",
    "range": "RANGE_ID",
    "object_id": "RANGE_ID",
}
# Values for specific operations, and optional arguments to show in their examples.
_EXAMPLES_OF: dict[str, dict[str, Any]] = {
    "create_presign_multipart_upload": {"parts": 2},
    "delete_branch": {"branch": "dev"},
    "get_physical_address": {"presign": True},
    "hard_reset_branch": {"branch": "dev"},
    "import_cancel": {"id": "IMPORT_ID"},
    "import_status": {"id": "IMPORT_ID"},
    "list_branches": {"prefix": "exp"},
    "list_objects": {"prefix": "data/"},
    "log_commits": {"amount": 10},
    "prepare_garbage_collection_commits_status": {"id": "TASK_ID"},
}
# Pages that are built from docstrings.
_DOCSTRING_PAGES = {
    "Client": ("lakefs_client", "Configuration, clients, retries, pagination, transactions"),
    "Transfer": ("lakefs_client.transfer", "Uploads and downloads of files and folders"),
    "Exceptions": ("lakefs_client.exceptions", "The exception hierarchy"),
    "Sandbox": ("lakefs_client.sandbox", "A server for tests"),
    "FileSystem": ("lakefs_client.fs", "A file system for fsspec"),
    "Credentials": ("lakefs_client.credentials", "The places of server and credentials"),
    "Tokens": ("lakefs_client.tokens", "Logins that renew their tokens"),
    "Gateway": ("lakefs_client.gateway", "Options of other libraries for the S3 gateway"),
    "Observe": ("lakefs_client.observe", "Hooks around requests and transfers, spans"),
    "Addresses": ("lakefs_client.uri", "`lakefs://` addresses"),
}


def pages(document: Document) -> dict[str, str]:
    """Return the text of every page by its path."""
    models = {m.name: m for m in document.models}
    result = {f"docs/models/{m.name}.md": _model_page(m, models) for m in document.models}
    for group, description in document.groups.items():
        operations = [o for o in document.operations if group in o.groups]
        name = class_name(group)
        result[f"docs/{name}.md"] = _api_page(name, description, operations, models)
    result["docs/Reference.md"] = _index_page(document)
    return result


def _linked(annotation: str, models: dict[str, Model], folder: str) -> str:
    """Return an annotation, followed by links to its models."""
    words = "".join(c if c.isalnum() or c == "_" else " " for c in annotation).split()
    names = [word for word in dict.fromkeys(words) if word in models]
    text = f"`{annotation}`".replace("|", "\\|")
    for name in names:
        text += f" [{name}]({folder}{name}.md)"
    return text


def _api_page(
    name: str, description: str, operations: list[Operation], models: dict[str, Model]
) -> str:
    lines = [
        f"# lakefs_client.{name}",
        "",
        f"{description}. Paths are relative to *http://localhost/api/v1*.",
        "",
        "Method | HTTP request | Description",
        "------ | ------------ | -----------",
        *(f"[**{o.name}**](#{o.name}) | **{o.method}** {o.path} | {o.summary}" for o in operations),
        "",
    ]
    for o in operations:
        lines += _operation_section(name, o, models)
    return "\n".join(lines).rstrip() + "\n"


def _operation_section(api: str, o: Operation, models: dict[str, Model]) -> list[str]:
    required = ", ".join(p.name for p in o.required)
    returns = "" if o.returns == "None" else f"{o.returns} "
    lines = [
        f"## {o.name}",
        "",
        f"> {returns}{o.name}({required})",
        "",
        f"{o.summary}.",
        "",
    ]
    for text in filter(None, (o.details, o.description)):
        lines += [*textwrap.wrap(text, 96, break_long_words=False), ""]
    lines += ["### Example", "", "```python", *_example(api, o, models), "```", ""]
    lines += ["### Parameters", ""]
    if o.parameters:
        lines += ["Name | Type | Description | Notes", "---- | ---- | ----------- | -----"]
        lines += [_parameter_row(p, models) for p in o.parameters]
    else:
        lines.append("None.")
    kind = "None" if o.returns == "None" else _linked(o.returns, models, "models/")
    returned = f": {_text(o.success)}" if o.success else ""
    lines += ["", "### Return type", "", f"{kind}{returned}", ""]
    methods = _METHODS if o.auth else "None. The client sends no credentials."
    lines += ["### Authorization", "", methods, ""]
    lines += [
        "### HTTP response details",
        "",
        "Status code | Description",
        "----------- | -----------",
    ]
    for code, response in o.responses.items():
        lines.append(f"**{'other' if code == 'default' else code}** | {_text(response)}")
    lines += ["", "[Back to top](#) · [Reference](Reference.md)", ""]
    return lines


def _text(described: Value | Model | Response) -> str:
    """Return the description and the details."""
    return f"{described.description} {described.details}".strip()


def _parameter_row(p: Value, models: dict[str, Model]) -> str:
    notes = [] if p.required else ["optional"]
    if p.default is not None:
        notes.append(f"server default {p.default}")
    notes += [f"{limit.replace('_', ' ')} {bound}" for limit, bound in p.limits.items()]
    if p.deprecated:
        notes.append("deprecated")
    text = ", ".join(notes).replace("|", "\\|")
    return f"**{p.name}** | {_linked(p.annotation, models, 'models/')} | {_text(p)} | {text}"


def _example(api: str, o: Operation, models: dict[str, Model]) -> list[str]:
    used: set[str] = set()
    own = {name: repr(value) for name, value in _EXAMPLES_OF.get(o.name, {}).items()}
    arguments = [own.get(p.name) or _argument(p, models, used) for p in o.required]
    arguments += [
        f"{p.name}={own.get(p.name) or _argument(p, models, used)}"
        for p in o.optional
        if p.name in own or p.name == "content" or p.place == "body"
    ]
    call = f"api.{o.name}({', '.join(arguments)})"
    if o.returns == "BinaryIO":
        call += ".read()"
    lines = ["import lakefs_client", f"from lakefs_client.apis import {api}"]
    if used:
        lines.append(f"from lakefs_client.models import {', '.join(sorted(used))}")
    lines.append("")
    if o.auth:
        lines += [
            "configuration = lakefs_client.Configuration(",
            '    host="http://localhost:8000",',
            '    username="YOUR_ACCESS_KEY_ID",',
            '    password="YOUR_SECRET_ACCESS_KEY",',
            ")",
        ]
    else:
        lines.append('configuration = lakefs_client.Configuration(host="http://localhost:8000")')
    lines += [
        "with lakefs_client.ApiClient(configuration) as api_client:",
        f"    api = {api}(api_client)",
        "    try:",
        f"        {call}" if o.returns == "None" else f"        print({call})",
        "    except lakefs_client.ApiException as error:",
        f'        print(f"{o.name} failed: {{error}}")',
    ]
    return lines


def _argument(p: Value, models: dict[str, Model], used: set[str]) -> str:
    if p.place == "body":
        name = p.annotation.removeprefix("list[").split("]")[0].split(" ")[0]
        built = _built(models[name], models, used)
        return f"[{built}]" if p.annotation.startswith("list[") else built
    if p.place == "upload":
        return 'b"id,name\\n1,lake\\n"'
    return _literal(p)


def _literal(p: Value) -> str:
    if p.annotation.startswith("Literal["):
        return p.annotation.removeprefix("Literal[").split(",")[0].rstrip("]")
    if p.name in _EXAMPLES:
        return repr(_EXAMPLES[p.name])
    if p.annotation == "datetime":
        return "datetime(2026, 1, 31, tzinfo=timezone.utc)"
    if p.annotation == "int":
        return str(max(1, p.limits.get("minimum", 1)))
    if p.annotation == "bool":
        return "True"
    return repr(f"{p.name}_example")


def _built(model: Model, models: dict[str, Model], used: set[str], given: Any = None) -> str:
    """Return a constructor call with the given values, or those of the model's example."""
    used.add(model.name)
    example = model.example or {} if given is None else given
    arguments = []
    for p in model.properties:
        if p.wire in example:
            arguments.append(f"{p.name}={_value(p.annotation, example[p.wire], models, used)}")
        elif p.required:
            arguments.append(f"{p.name}={_value(p.annotation, None, models, used, p)}")
    return f"{model.name}({', '.join(arguments)})"


def _value(
    annotation: str, given: Any, models: dict[str, Model], used: set[str], p: Value | None = None
) -> str:
    inner = annotation.removeprefix("list[").removesuffix("]")
    if annotation in models:
        if models[annotation].entries is not None:
            used.add(annotation)
            return f"{annotation}(**{given or {'key': 'value'}!r})"
        return _built(models[annotation], models, used, given)
    if annotation.startswith("list[") and inner in models:
        items = given or [None]
        return f"[{', '.join(_value(inner, item, models, used) for item in items)}]"
    if given is not None:
        return repr(given)
    if annotation.startswith("list["):
        return "['example']"
    if annotation.startswith("dict["):
        return "{'key': 'value'}"
    assert p is not None
    return _literal(p)


def _model_page(model: Model, models: dict[str, Model]) -> str:
    lines = [f"# {model.name}", "", *textwrap.wrap(_text(model), 96), ""]
    if model.items:
        lines.append(f"A list of {_linked(model.items, models, '')}.")
    elif model.entries:
        lines.append(f"A map from names to {_linked(model.entries, models, '')}.")
    else:
        lines += ["## Properties", "", "Name | Type | Description | Notes"]
        lines.append("---- | ---- | ----------- | -----")
        for p in model.properties:
            row = _parameter_row(p, models).replace("(models/", "(")
            lines.append(row + (" hidden in the repr" if p.secret else ""))
    used: set[str] = set()
    if not model.items and not model.entries:
        built = _built(model, models, used)
        imports = [f"from lakefs_client.models import {', '.join(sorted(used))}"]
        if "datetime(" in built:
            imports[:0] = ["from datetime import datetime, timezone", ""]
        lines += ["", "## Example", "", "```python", *imports, "", f"value = {built}", "```"]
    lines += ["", "[All models](../Reference.md#models)"]
    return "\n".join(lines) + "\n"


def _index_page(document: Document) -> str:
    lines = ["# Reference", "", "## The package", ""]
    for title, (module, text) in _DOCSTRING_PAGES.items():
        lines.append(f"- [{title}]({title}.md) (`{module}`): {text}")
    lines += ["", "## Groups of operations", ""]
    for group, description in document.groups.items():
        name = class_name(group)
        lines.append(
            f"- [{name}]({name}.md) (`lakefs_client.api.{snake(group)}_api`): {description}"
        )
    lines += ["", "## Models", ""]
    for m in document.models:
        lines.append(f"- [{m.name}](models/{m.name}.md): {m.description.removesuffix('.')}")
    return "\n".join(lines) + "\n"
