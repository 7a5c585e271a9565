"""Views of editors and notebooks: `help`, `inspect.signature`, `dir` and jedi."""

from __future__ import annotations

import inspect
import json
import pydoc
import subprocess
import sys
from pathlib import Path
from typing import Any

import jedi  # type: ignore[import-untyped]
import pytest

import lakefs_client
from lakefs_client import apis, models
from lakefs_client._model import Model
from lakefs_client.client import LakeFSClient

METHODS = [
    pytest.param(method, id=f"{group}.{name}")
    for group in dir(apis)
    if group.endswith("Api")
    for name, method in inspect.getmembers(getattr(apis, group), inspect.isfunction)
    if not name.startswith("_")
]
MODELS = [name for name in dir(models) if isinstance(getattr(models, name), type)]
KINDS = inspect.Parameter

# Arguments whose names explain them.
OBVIOUS = {
    "repository", "branch", "user_id", "group_id", "policy_id", "run_id", "tag", "object_id",
    "range",
}  # fmt: skip


def test_all_methods_and_models_are_covered() -> None:
    assert len(METHODS) == 150
    assert len(MODELS) >= 119


def test_method_signature_has_argument_types() -> None:
    method = apis.ExperimentalApi.complete_presign_multipart_upload
    assert str(inspect.signature(method)).replace("'", "") == (
        "(self, repository: str, branch: str, upload_id: str, path: str, *, "
        "complete_presign_multipart_upload: CompletePresignMultipartUpload | dict[str, Any] "
        "= UNSET, **options: Unpack[CallOptions]) -> ObjectStats"
    )


def test_bound_method_signature_has_no_self() -> None:
    with lakefs_client.ApiClient() as client:
        parameters = inspect.signature(apis.ObjectsApi(client).get_object).parameters
    assert [*parameters] == [
        "repository", "ref", "path", "range", "if_none_match", "presign", "options"
    ]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
def test_method_help_describes_arguments(method: Any) -> None:
    text = pydoc.plain(pydoc.render_doc(method))
    parameters = list(inspect.signature(method).parameters.values())[1:-1]
    explanation = inspect.getdoc(method) or ""
    assert f"\n{method.__name__}(" in text  # Python 3.13 and later break the signature into lines
    assert f"in module {method.__module__}" in text
    for parameter in parameters:
        explained = f"\n    {parameter.name}: " in explanation
        assert explained or parameter.name in OBVIOUS, parameter.name
        assert explained or parameter.kind != KINDS.KEYWORD_ONLY, parameter.name
        assert parameter.annotation is not KINDS.empty
        assert parameter.kind in (KINDS.POSITIONAL_OR_KEYWORD, KINDS.KEYWORD_ONLY)


def test_complete_help_warns_against_retries() -> None:
    text = pydoc.plain(pydoc.render_doc(apis.ExperimentalApi.complete_presign_multipart_upload))
    for part in ("Complete a presigned multipart upload", "Args:", "Returns:", "Raises:", "Never"):
        assert part in text


def test_model_signature_has_property_types() -> None:
    signature = inspect.signature(models.CompletePresignMultipartUpload)
    assert str(signature).replace("'", "") == (
        "(physical_address: str, parts: list[UploadPart], *, "
        "user_metadata: dict[str, str] = UNSET, content_type: str = UNSET, **entries)"
    )


@pytest.mark.parametrize("name", MODELS)
def test_model_help_lists_its_fields(name: str) -> None:
    model = getattr(models, name)
    assert f"class {name}(" in pydoc.plain(pydoc.render_doc(model))
    text = " ".join((inspect.getdoc(model) or "").split())
    assert text
    if issubclass(model, Model):
        for field, annotation in model._schema().annotations.items():
            assert f"{field} ({annotation}" in text


def test_model_help_describes_its_fields() -> None:
    assert inspect.getdoc(models.CommitCreation) == (
        "Body of commit, which records the uncommitted changes of a branch.\n\n"
        "Attributes:\n"
        "    message (str)\n"
        "    metadata (dict[str, str], optional): Strings by name to attach to the commit.\n"
        "    date (int, optional): Unix epoch in seconds to record instead of the current time.\n"
        "    allow_empty (bool, optional): If True, commit even if nothing changed.\n"
        "    force (bool, optional): If True, commit even to a read-only repository."
    )


def test_model_help_without_source_lists_types() -> None:
    namespace: dict[str, Any] = {"Model": Model}
    exec("class Event(Model):\n    'An event.'\n    name: str", namespace)
    assert namespace["Event"].__doc__ == "An event.\n\nAttributes:\n    name (str)"


def test_completion_of_a_call_offers_result_fields() -> None:
    api = apis.ObjectsApi()
    code = "api.stat_object('repo', 'main', 'a')."
    live = jedi.Interpreter(code, [{"api": api}]).complete()
    source = f"from lakefs_client.apis import ObjectsApi\napi = ObjectsApi()\n{code}"
    project = jedi.Project(str(Path(lakefs_client.__file__).parents[1]))
    for completions in (live, jedi.Script(source, project=project).complete()):
        names = {completion.name for completion in completions}
        assert {"physical_address", "size_bytes", "checksum"} <= names
        assert not {"get_nowait", "ready", "wait"} & names


def test_completion_of_a_result_offers_only_set_properties() -> None:
    stats = models.ObjectStats("a", "object", "s3://a", "1", 2, size_bytes=3)
    stats["newer"] = "x"
    names = {name for name in dir(stats) if not name.startswith("_")}
    assert {"path", "path_type", "size_bytes", "newer", "to_dict", "get"} <= names
    assert all(name.isidentifier() for name in names)
    assert all(hasattr(stats, name) for name in names)


def test_completion_of_the_client_offers_api_groups() -> None:
    with LakeFSClient() as client:
        groups = {name for name in dir(client) if name.endswith("_api") and name[0] != "_"}
    assert len(groups) == 17


def test_completion_of_the_package_loads_no_heavy_module() -> None:
    script = (
        f"import sys; sys.path.insert(0, {str(Path(lakefs_client.__file__).parents[1])!r})\n"
        "import json, lakefs_client\n"
        "from lakefs_client import apis, models\n"
        "names = dir(lakefs_client), dir(apis), dir(models)\n"
        "heavy = [m for m in ('urllib3', 'dateutil') if m in sys.modules]\n"
        "print(json.dumps([*names, heavy]))\n"
    )
    # -I skips startup files, which may import modules.
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True
    )
    package, groups, all_models, heavy = json.loads(done.stdout)
    assert {"ApiClient", "Configuration", "ApiException", "__version__", "paginate"} <= {*package}
    assert {"apis", "models", "client", "exceptions", "transfer", "sandbox"} <= {*package}
    assert {"ExperimentalApi", "ObjectsApi"} <= {*groups}
    assert {*MODELS} <= {*all_models}
    assert heavy == []
