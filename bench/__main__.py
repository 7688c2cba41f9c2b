"""`python -m bench`, the same as the command `bench`."""

import sys

from bench.cli import main

sys.exit(main())
