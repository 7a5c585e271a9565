"""Reference pages of handwritten modules, built from their docstrings.

The sources are parsed, not imported, because they import modules that may not be generated yet.
"""

from __future__ import annotations

import ast
import re
from typing import NamedTuple

from apidoc import ROOT


class Page(NamedTuple):
    """A page of the reference.

    Attributes:
        package: The module that the page introduces.
        guides: Links to guides, by title.
        names: Classes and functions, each as "module.name" below `lakefs_client`.
    """

    package: str
    guides: dict[str, str]
    names: tuple[str, ...]


PAGES = {
    "Client": Page(
        "lakefs_client",
        {
            "Start": "start.md",
            "Connecting": "guides/connecting.md",
            "Everyday work": "guides/everyday.md",
        },
        (
            "configuration.Configuration",
            "api_client.ApiClient",
            "client.LakeFSClient",
            "retry.RetryPolicy",
            "_paginate.paginate",
            "ensure.ensure_repository",
            "ensure.ensure_branch",
            "ensure.ensure_tag",
            "transactions.transaction",
            "transactions.TransactionResult",
        ),
    ),
    "Exceptions": Page(
        "lakefs_client.exceptions",
        {
            "Errors, retries and timeouts": "guides/errors.md",
            "Troubleshooting": "guides/troubleshooting.md",
        },
        tuple(
            f"exceptions.{name}"
            for name in (
                "OpenApiException", "ApiException", "NothingToCommitError",
                "UnauthorizedException", "ForbiddenException", "BranchProtectedError",
                "NotFoundException", "ConflictException", "MergeConflictError",
                "PreconditionFailedException", "HookRefusedError", "RateLimitException",
                "ServiceException", "ApiConnectionError", "ApiTimeoutError", "InvalidAnswerError",
                "TransferError", "ObjectExistsError", "ApiTypeError", "ApiValueError",
                "ApiAttributeError", "ApiKeyError",
            )
        ),
    ),
    "Sandbox": Page(
        "lakefs_client.sandbox",
        {"Testing with the sandbox": "guides/sandbox.md"},
        (
            "sandbox.server.Sandbox",
            "sandbox.faults.Faults",
            "sandbox.faults.Fault",
            "sandbox.clock.Clock",
            "sandbox.blocks.Blockstore",
            "sandbox.request_log.RecordedRequest",
        ),
    ),
    "Credentials": Page(
        "lakefs_client.credentials",
        {"Credentials": "guides/credentials.md"},
        ("credentials.discover", "credentials.Discovery", "credentials.Setting"),
    ),
    "Tokens": Page(
        "lakefs_client.tokens",
        {"Credentials": "guides/credentials.md#tokens-that-renew-themselves"},
        ("tokens.AccessKeyLogin", "tokens.AwsIamLogin", "tokens.StsLogin"),
    ),
    "FileSystem": Page(
        "lakefs_client.fs",
        {"pandas": "guides/pandas.md", "fsspec": "guides/fsspec.md"},
        ("fs.filesystem.LakeFSFileSystem", "fs.transaction.LakeFSTransaction", "fs.register"),
    ),
    "Gateway": Page(
        "lakefs_client.gateway",
        {"S3 gateway": "guides/gateway.md"},
        ("gateway.S3Gateway",),
    ),
    "Observe": Page(
        "lakefs_client.observe",
        {"Logs, hooks and traces": "guides/observability.md"},
        ("observe.add_hook", "observe.RequestEvent", "observe.TransferEvent", "otel.instrument"),
    ),
    "Addresses": Page(
        "lakefs_client.uri",
        {"Command line": "guides/command-line.md#addresses"},
        ("uri.ObjectRef", "uri.Address"),
    ),
    "Transfer": Page(
        "lakefs_client.transfer",
        {
            "Uploading large files": "guides/uploading.md",
            "Downloading": "guides/downloading.md",
            "Directories": "guides/directories.md",
        },
        (
            "transfer.transfer.Transfer",
            "transfer.config.TransferConfig",
            "transfer.directory.report.DirectoryReport",
            "transfer.directory.report.DirectoryEntry",
            "transfer.compose.ObjectRange",
            "transfer.download.reader.ObjectReader",
            "transfer.upload.writer.ObjectWriter",
            "transfer.upload.resume.PendingUpload",
            "exceptions.TransferError",
        ),
    ),
}  # fmt: skip
# Methods to omit: those of every stream, and those that only the package calls.
OMITTED_METHODS = (
    "readable", "seekable", "writable", "call", "perform", "take", "auth_settings",
    "get_host_from_settings", "get_host_settings", "instantiate", "log_in", "collect", "reader",
    "require_branch", "start_transaction",
)  # fmt: skip
TABLE_HEADINGS = {
    "Args": "Argument | Type | Description",
    "Attributes": "Attribute | Type | Description",
    "Raises": "Error | Condition",
}


def docstring_pages() -> dict[str, str]:
    """Return the text of every page by its path."""
    return {f"docs/{title}.md": _page(page) for title, page in PAGES.items()}


def _page(page: Page) -> str:
    guides = ", ".join(f"[{title}]({path})" for title, path in page.guides.items())
    lines = [f"# {page.package}", "", _prose(_docstring(_tree(page.package))), ""]
    lines += [f"Guides: {guides}.", "", "Name | Description", "---- | -----------"]
    sections: list[str] = []
    for path in page.names:
        module, _, name = path.rpartition(".")
        node = _definition(f"lakefs_client.{module}", name)
        summary = (
            _prose(_docstring(node)).partition("\n\n")[0].replace("\n", " ").replace("|", r"\|")
        )
        lines.append(f"[**{name}**](#{name.lower()}) | {summary}")
        if isinstance(node, ast.ClassDef):
            sections += _class_section(node, _inherited(node, f"lakefs_client.{module}"))
        else:
            sections += _function(node, "##")
    return "\n".join([*lines, *sections, "", "[Back to top](#) · [Reference](Reference.md)"]) + "\n"


def _tree(module: str) -> ast.Module:
    path = ROOT / module.replace(".", "/")
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text("utf-8"))


def _definition(module: str, name: str) -> ast.ClassDef | ast.FunctionDef:
    return next(node for node in _definitions(module) if node.name == name)


def _definitions(module: str) -> list[ast.ClassDef | ast.FunctionDef]:
    return [n for n in _tree(module).body if isinstance(n, (ast.ClassDef, ast.FunctionDef))]


def _docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "").replace("``", "`")


def _prose(text: str) -> str:
    """Return a docstring without sections, with fenced code."""
    blocks = [
        b for b in text.split("\n\n") if b.partition(":\n")[0] not in (*TABLE_HEADINGS, "Returns")
    ]
    fenced = "\n\n".join(
        f"```py\n{_dedent(block)}\n```" if block.startswith("    ") else block for block in blocks
    )
    return fenced.replace("\n```\n\n```py\n", "\n\n")


def _dedent(block: str) -> str:
    return "\n".join(line[4:] for line in block.splitlines())


def _inherited(node: ast.ClassDef, module: str) -> list[ast.FunctionDef]:
    """Return the methods of the bases that the module imports from the package, and of theirs."""
    imported = {
        alias.name: str(statement.module)
        for statement in _tree(module).body
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("lakefs_")
        for alias in statement.names
    }
    # A base of another package, such as fsspec, has pages there.
    bases = [name for base in node.bases if (name := ast.unparse(base)) in imported]
    methods = []
    for name in bases:
        for found in _definitions(imported[name]):
            if found.name == name and isinstance(found, ast.ClassDef):
                methods += [n for n in found.body if isinstance(n, ast.FunctionDef)]
                methods += _inherited(found, imported[name])
    return methods


def _class_section(node: ast.ClassDef, inherited: list[ast.FunctionDef]) -> list[str]:
    methods = [n for n in node.body if isinstance(n, ast.FunctionDef)] + inherited
    constructor = [_types(m.args) for m in methods if m.name == "__init__"]
    fields = [n for n in node.body if isinstance(n, ast.AnnAssign)]
    types = {ast.unparse(n.target): ast.unparse(n.annotation) for n in fields}
    for known in constructor:
        types |= known
    lines = ["", f"## {node.name}", "", _tables(_docstring(node), types)]
    for method in methods:
        decorators = {ast.unparse(d) for d in method.decorator_list}
        public = method.name[0] != "_" and decorators <= {"classmethod", "staticmethod"}
        if public and method.name not in OMITTED_METHODS and ast.get_docstring(method):
            lines += _function(method, "###", f"{node.name}.")
    return lines


def _function(node: ast.FunctionDef, level: str, prefix: str = "") -> list[str]:
    types = _types(node.args)
    lines = ["", f"{level} {prefix}{node.name}", "", _signature(node), ""]
    return [*lines, _tables(_docstring(node), types)]


def _types(arguments: ast.arguments) -> dict[str, str]:
    return {a.arg: ast.unparse(a.annotation) for a in _named(arguments) if a.annotation}


def _named(arguments: ast.arguments) -> list[ast.arg]:
    """Return all arguments except `*args` and `**kwargs`."""
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]


def _signature(node: ast.FunctionDef) -> str:
    arguments = node.args
    for argument in [*_named(arguments), *filter(None, (arguments.vararg, arguments.kwarg))]:
        argument.annotation = None
    text = re.sub("^(self|cls)(, )?", "", ast.unparse(arguments))
    assert node.returns is not None
    return f"> `{node.name}({text}) -> {ast.unparse(node.returns)}`"


def _tables(text: str, types: dict[str, str]) -> str:
    """Return a docstring with its sections as tables."""
    blocks = [_prose(text)]
    for block in text.split("\n\n"):
        heading, _, rest = block.partition(":\n")
        if heading in TABLE_HEADINGS:
            rows = [TABLE_HEADINGS[heading], re.sub(r"\w", "-", TABLE_HEADINGS[heading])]
            # An item starts at the smallest indent.
            for item in re.split(r"\n(?=    \S)", rest):
                name, _, meaning = " ".join(item.split()).partition(": ")
                cells = [f"**{name}**", meaning.replace("|", r"\|")]
                if heading != "Raises":
                    cells.insert(1, f"`{types[name]}`".replace("|", r"\|") if name in types else "")
                rows.append(" | ".join(cells))
            blocks.append("\n".join(rows))
        elif heading == "Returns":
            blocks.append(f"Returns: {' '.join(rest.split())}")
    return "\n\n".join(blocks)
