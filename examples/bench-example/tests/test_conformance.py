"""Every conformance check on every part of this distribution."""

from bench.testing import conformance_suite

test_conformance = conformance_suite("bench-example")
