"""Import, and the dump and restore of refs: tasks to wait for, which are done at once."""

from __future__ import annotations

import hashlib
import json
import mimetypes
from dataclasses import asdict

from ..clock import new_id, timestamp
from ..errors import ApiError, bad_request, not_found
from ..repository import DIRTY, Branch, Repository
from ..state import NAMESPACE, as_json, dump_history, load_history
from ..versions import Entry
from ..wire import Response
from .call import Call, Json, reply
from .objects import DEFAULT_TYPE, entry_of


class Tasks(Call):
    def import_start(self) -> Response:
        repository, branch, body = self.repository, self["branch"], self.body
        repository.branch(branch)
        repository.check_writable(branch, force=self.force)
        if repository.uncommitted(branch):
            raise bad_request(DIRTY)
        entries: dict[str, Entry] = {}
        for location in body["paths"]:
            entries.update(self._found(repository, location))
        identifier = new_id(self.backend.clock())
        status: Json = {"completed": True, "ingested_objects": len(entries)}
        try:
            for path, entry in entries.items():
                repository.stage(branch, path, entry, force=True)
            commit = repository.commit_staged(branch, body["commit"])
            status.update(commit=asdict(commit), metarange_id=commit.meta_range_id)
        except ApiError as error:
            status["error"] = {"message": error.message}
        status["update_time"] = timestamp(self.backend.clock())
        repository.tasks[f"{branch}/{identifier}"] = status
        return reply({"id": identifier}, 202)

    def import_status(self) -> Json:
        return self._task(f"{self['branch']}/{self['id']}")

    def import_cancel(self) -> None:
        self.import_status()
        raise ApiError(409, "import already completed")

    def dump_refs(self) -> Response:
        return reply(self._dump(), 201)

    def restore_refs(self) -> None:
        repository, body = self.writable_repository, self.body
        if repository.commits:
            raise bad_request("cannot restore refs to a repository that is not bare")
        branches = self._kept(body["branches_meta_range_id"])
        tags = self._kept(body["tags_meta_range_id"])
        load_history(repository, self._kept(body["commits_meta_range_id"]))
        repository.branches = {name: Branch(commit_id) for name, commit_id in branches.items()}
        repository.tags = tags

    def dump_submit(self) -> Response:
        return self._submit({"refs": self._dump()})

    def restore_submit(self) -> Response:
        self.restore_refs()
        return self._submit({})

    def dump_status(self) -> Json:
        return self._task(self["task_id"])

    restore_status = dump_status

    def _task(self, name: str) -> Json:
        if task := self.repository.tasks.get(name):
            return task
        raise not_found()

    def _found(self, repository: Repository, location: Json) -> dict[str, Entry]:
        """The objects at one source of an import, by the paths they are to have."""
        uri, destination = location["path"], location["destination"]
        if uri.startswith(repository.prefix):
            raise bad_request(
                f"import path ({uri}) in repository namespace "
                f"({repository.storage_namespace}) is prohibited: invalid import source"
            )
        if not uri.startswith(NAMESPACE):
            raise bad_request(f"import path ({uri}) is not in the sandbox: invalid import source")
        source = repository.key(uri)
        whole = location["type"] == "object"
        found = {}
        for key, stored in self.backend.store.objects().items():
            if key == source if whole else key.startswith(source):
                content_type = mimetypes.guess_type(key)[0] or DEFAULT_TYPE
                path = destination + key[len(source) :]
                found[path] = entry_of(stored, f"s3://{key}", content_type)
        return found

    def _submit(self, result: Json) -> Response:
        now = self.backend.clock()
        identifier = new_id(now)
        task = {"id": identifier, "done": True, "update_time": timestamp(now), **result}
        self.repository.tasks[identifier] = task
        return reply({"id": identifier}, 202)

    def _dump(self) -> Json:
        """Write branches, tags and commits as files to the repository's namespace."""
        repository = self.repository
        branches = {name: branch.commit_id for name, branch in repository.branches.items()}
        return {
            "branches_meta_range_id": self._keep(branches),
            "commits_meta_range_id": self._keep(dump_history(repository)),
            "tags_meta_range_id": self._keep(repository.tags),
        }

    def _keep(self, content: Json) -> str:
        """Write what a dump holds where its metarange would be; return the metarange's id."""
        data = json.dumps(content, sort_keys=True, default=as_json).encode()
        identifier = hashlib.sha256(data).hexdigest()
        key = self.repository.key(f"_lakefs/{identifier}")
        self.backend.store.put(key, self.backend.store.write([data]))
        return identifier

    def _kept(self, identifier: str) -> Json:
        stored = self.backend.store.get(self.repository.key(f"_lakefs/{identifier}"))
        if stored is None:
            raise not_found("metarange")
        content: Json = json.loads(stored.read())
        return content
