"""Random sequences of calls, compared between the sandbox and a real server."""
