"""The executed notebook: tables, progress bar, completions and printed output."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import pytest

from docs.conftest import ROOT

nbformat = pytest.importorskip("nbformat", reason="nbclient is not installed")
nbclient = pytest.importorskip("nbclient", reason="nbclient is not installed")
run_sync = pytest.importorskip("jupyter_core.utils").run_sync
pytest.importorskip("ipykernel", reason="ipykernel is not installed")

COMPLETIONS = {
    "stats.size": "size_bytes",
    'objects.stat_object("birds", "main", "labels.csv").phys': "physical_address",
    "RepositoriesApi(api_client).create_r": "create_repository",
}
"""Code before Tab, and one of the expected completions."""

NOTEBOOK = ROOT / "docs" / "notebook.ipynb"


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Provide the executed notebook."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Jupyter's warnings about itself
        patch.setenv("IPYTHONDIR", str(tmp_path_factory.mktemp("ipython")))
        client = nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3")
        with client.setup_kernel(cwd=str(tmp_path_factory.mktemp("work"))):
            for index, cell in enumerate(notebook.cells):
                client.execute_cell(cell, index)
                if "stats.size_bytes" in cell.source:
                    notebook.metadata.completions = {
                        code: complete(client, code) for code in COMPLETIONS
                    }
            client.set_widgets_metadata()
        yield notebook


def complete(client: Any, code: str) -> list[str]:
    """Return the kernel's completions."""

    async def ask() -> Any:
        return await client.kc.complete(code, reply=True, timeout=60)

    matches: list[str] = run_sync(ask)()["content"]["matches"]
    return matches


@pytest.fixture
def cells(executed: Any) -> list[Any]:
    found: list[Any] = executed.cells
    return found


def outputs(cells: list[Any], code: str, kind: str) -> str:
    """Return the outputs of a MIME type, or of a stream, of the cell that contains `code`."""
    (cell,) = (cell for cell in cells if cell.cell_type == "code" and code in cell.source)
    return "".join(
        output.text if kind == output.get("name") else output.get("data", {}).get(kind, "")
        for output in cell.outputs
    )


def test_notebook_is_stored_without_outputs() -> None:
    for cell in nbformat.read(NOTEBOOK, as_version=4).cells:
        assert cell.get("outputs", []) == []
        assert cell.get("execution_count") is None


def test_notebook_shows_models_reports_and_listings_as_tables(cells: list[Any]) -> None:
    repository = outputs(cells, "create_repository(", "text/html")
    assert "<caption>Repository</caption>" in repository
    assert "<td>birds</td>" in repository
    assert "<td>transferred</td><td>21</td>" in outputs(cells, "upload_directory(", "text/html")
    listing = outputs(cells, "diff_branch(", "text/html")
    assert listing.count("<tr>") == 1 + 3
    assert "images/0000.bin" in listing


def test_notebook_progress_bar_reaches_the_total(executed: Any) -> None:
    pytest.importorskip("ipywidgets", reason="ipywidgets is not installed")
    (states,) = executed.metadata.widgets.values()
    (bar,) = (
        widget.state
        for widget in states["state"].values()
        if widget.model_name == "FloatProgressModel"
    )
    assert (bar.value, bar.max, bar.bar_style) == (20_000_023, 20_000_023, "success")


def test_notebook_completes_methods_and_result_fields(executed: Any) -> None:
    for code, expected in COMPLETIONS.items():
        offered = [match.rpartition(".")[2] for match in executed.metadata.completions[code]]
        assert expected in offered, code


def test_notebook_cells_print_the_described_output(cells: list[Any]) -> None:
    assert outputs(cells, "paginate(", "text/plain") == "20000023"
    assert outputs(cells, '"images/labels.csv")\nstats', "text/plain") == "23"
    assert outputs(cells, '"r") as file', "stdout") == "id,bird\n1,wren\n2,robin\n\n"
    assert outputs(cells, "except", "stdout").startswith("(404) stat_object: ")
    client = outputs(cells, "Sandbox()", "text/plain")
    assert "username='AKIA" in client
    assert "secret" not in client
