"""Run one function of a module and print its result: ``python child.py MODULE FUNCTION ARG…``.

This file imports nothing else, as a measured import must not find its modules loaded.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    module, function, *arguments = sys.argv[1:]
    print(repr(getattr(__import__(module), function)(*arguments)))
