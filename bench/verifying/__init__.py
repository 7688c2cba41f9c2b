"""Verifying finished runs: `bench.verifying.checks` holds a run against itself and its corpora, `attestation` signs that."""
