"""The groups of operations, one module each.

Any operation may raise these exceptions. Its docstring lists only what is particular to it.

- `NotFoundException` (404): an argument names something that does not exist.
- `UnauthorizedException` (401): the credentials are missing or wrong.
- `ForbiddenException` (403): the user may not do this, or the branch is protected, or the
  repository is read-only and `force` is not set.
- `ConflictException` (409): the name is taken, or a concurrent change came first.
- `RateLimitException` (420, 429) and `ServiceException` (5xx): the retries that the
  configuration's `RetryPolicy` allows also failed. Open-source servers answer 501 to operations
  on groups, policies and external principals.
- `ApiConnectionError`, `ApiTimeoutError`: the network failed.
- `ApiException`, the base class of all these: any other status, such as 400.
- `ApiTypeError`, `ApiValueError`: an argument is invalid. Nothing was sent.

`docs/` has a page for each group, with more details.
"""
