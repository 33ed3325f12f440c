#!/usr/bin/env python3
"""Runs one file of end-to-end tests against a built program: run_tests.py FILE PROGRAM. Status 77: every test of it was skipped."""
import os
import sys
import unittest
from pathlib import Path


def main():
    file, program = sys.argv[1:3]
    os.environ["CARAT_PROGRAM"] = program
    here = Path(__file__).resolve().parent
    sys.path.insert(0, str(here))
    suite = unittest.defaultTestLoader.loadTestsFromName(Path(file).stem)
    result = unittest.TextTestRunner(verbosity=2).run(suite)
    for test, reason in result.skipped:
        print(f"skipped: {test.id()}: {reason}")
    if not result.wasSuccessful() or result.testsRun + len(result.skipped) == 0:
        sys.exit(1)
    # A test that skipped some of its cases has run; a file may skip as a whole, before any of its tests.
    whole = [test for test, _ in result.skipped if not isinstance(test, unittest.case._SubTest)]
    sys.exit(77 if len(whole) >= result.testsRun else 0)


if __name__ == "__main__":
    main()
