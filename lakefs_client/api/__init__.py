"""The groups of operations, one module each.

Besides what its docstring lists, any operation may raise

- `NotFoundException` (404): something that an argument names does not exist.
- `UnauthorizedException` (401): no credentials, or wrong ones.
- `ForbiddenException` (403): the user may not do this. "Protected or read-only" means that the
  branch is protected, or the repository read-only and `force` not set.
- `RateLimitException` (420, 429), `ServiceException` (5xx): after the repetitions of the
  configuration's `RetryPolicy`.
- `ApiConnectionError`, `ApiTimeoutError`: the network failed.
- `ApiException`, of which all of these are: any other status, such as 400.
- `ApiTypeError`, `ApiValueError`: an argument does not fit, and nothing was sent.

`docs/` has a page for each group, which says more.
"""
