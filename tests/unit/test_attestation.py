"""An attestation vouches for the very thing that was signed, whatever lies beside it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from bench.results.layout import MANIFEST
from bench.studies.study import STUDY
from bench.verifying.attestation import ATTESTATION, SSH, attested, sign
from bench.verifying.check import Verification

KINDS = {"run": MANIFEST, "study": STUDY}


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs OpenSSH")
@pytest.mark.parametrize(("signed", "forged"), [("study", "run"), ("run", "study")])
def test_what_was_signed_of_another_thing_vouches_for_nothing(signed: str, forged: str, tmp_path: Path) -> None:
    key, signers = tmp_path / "ann", tmp_path / "signers"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    signers.write_text(f"ann@site {key.with_suffix('.pub').read_text()}")
    made = {kind: Verification(f"a {kind}", tmp_path / kind, (), kind) for kind in KINDS}  # type: ignore[arg-type]
    for kind, name in KINDS.items():
        made[kind].folder.mkdir()
        (made[kind].folder / name).write_text(f"content of the {kind}")
    sign(made[signed], key)
    held = attested(made[signed], signers)
    assert held is not None
    assert held.outcome == "holds"
    for name in (KINDS[signed], ATTESTATION, ATTESTATION + SSH):
        shutil.copy(made[signed].folder / name, made[forged].folder)
    found = attested(made[forged], signers)
    assert found is not None
    assert found.outcome == "differs"
