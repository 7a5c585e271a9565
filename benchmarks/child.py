"""Run one function of one module and print its figure: ``python child.py MODULE FUNCTION ARG…``.

Nothing is imported here that a measured import would then find loaded.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    module, function, *arguments = sys.argv[1:]
    print(repr(getattr(__import__(module), function)(*arguments)))
