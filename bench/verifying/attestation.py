"""A signed statement of what `bench verify` found: ``attestation.json`` beside the result, and its signature.

A signature says who verified the run and when, and that the statement was not changed since; not that the run took place.
Signed with OpenSSH (``ssh-keygen -Y sign -n bench``) or minisign, whichever the key is of; bench holds no key.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from bench.errors import MissingError, RunStateError, UsageError
from bench.modeling.files import read_sha256
from bench.results.environment import versions
from bench.results.layout import MANIFEST
from bench.results.store import read_json, write_json
from bench.studies.study import STUDY
from bench.verifying.check import Check, Verification

ATTESTATION = "attestation.json"
ATTESTATION_VERSION = 1
"""Of the layout of this file."""
NAMESPACE = "bench"
"""Of the signature: one that was made for another purpose does not count."""
SSH, MINISIGN = ".sig", ".minisig"
_INSTALL = {"ssh-keygen": "apt install openssh-client", "minisign": "apt install minisign"}


def sign(verification: Verification, key: Path) -> Path:
    """Writes the attestation of a run or study that was verified, and signs it; the signing program asks for a passphrase.

    Args:
        verification: of the run or study.
        key: a private key of OpenSSH or minisign.

    Returns:
        The signature.

    Raises:
        RunStateError: a check differs, or the run has no manifest.
        UsageError: there is no such key, or it does not sign.
        MissingError: the signing program is not installed.
        StorageError: the disk is full or cannot be written.
    """
    folder, named = verification.folder, f"{verification.kind.capitalize()} {verification.run}"
    if not key.is_file():
        raise UsageError(f"--sign: there is no key {key}.", "Make one with: ssh-keygen -t ed25519 -f KEY")
    if verification.differs:
        what = ", ".join(check.what for check in verification.differs[:3])
        raise RunStateError(f"{named} is not signed: {what} differ.", "Run it again, and verify that.")
    if not _attested_file(verification).exists():
        raise RunStateError(f"{named} is not signed: it has no {MANIFEST}.", "Run it again with this bench.")
    mini = _of_minisign(key)
    path = folder / ATTESTATION
    write_json(path, _statement(verification))
    signature = path.with_name(path.name + (MINISIGN if mini else SSH))
    signature.unlink(missing_ok=True)
    words = ["minisign", "-S", "-s", str(key), "-m", str(path), "-x", str(signature)] if mini else [
        "ssh-keygen", "-Y", "sign", "-n", NAMESPACE, "-f", str(key), str(path)
    ]  # fmt: skip
    done = _called(words, asks=True)
    if done.returncode or not signature.is_file():
        path.unlink(missing_ok=True)
        raise UsageError(f"{words[0]} did not sign with {key}.", "Name a private key of yours, and its passphrase.")
    return signature


def attested(verification: Verification, signer: Path | None) -> Check | None:
    """The attestation of a run or study, held against its manifest and, with a `signer`, its signature; None where none is.

    Args:
        verification: of the run or study.
        signer: whom to trust: a file of allowed signers of OpenSSH, or a public key of minisign.

    Raises:
        UsageError: there is no such file.
        MissingError: the verifying program is not installed.
    """
    what, path = "attestation", verification.folder / ATTESTATION
    if signer is not None and not signer.is_file():
        raise UsageError(f"--signer: there is no file {signer}.", "Name allowed signers of OpenSSH, or a public minisign key.")
    if not path.exists():
        return None if signer is None else Check(what, "differs", f"there is no {ATTESTATION}")
    try:
        stated = read_json(path)
        when, manifest = str(stated["date"]), str(stated["manifest"])
    except (RunStateError, KeyError, TypeError):
        return Check(what, "differs", f"{ATTESTATION} is damaged")
    attested_file = _attested_file(verification)
    if not attested_file.exists() or manifest != read_sha256(attested_file):
        return Check(what, "differs", "it is of another manifest")
    if signer is None:
        return Check(what, "not checked", f"made {when}; --signer FILE checks by whom")
    who = _signed_by(path, signer)
    return Check(what, "differs", f"the signature is not of {signer.name}") if who is None else Check(
        what, "holds", f"signed by {who}, {when}"
    )  # fmt: skip


def _attested_file(verification: Verification) -> Path:
    """The file whose hash stands for all that is attested: the manifest of a run, ``study.json`` of a study.

    Not by what lies in the folder: a signed ``study.json`` that was put beside a forged run would vouch for that.
    """
    return verification.folder / (STUDY if verification.kind == "study" else MANIFEST)


def _statement(verification: Verification) -> dict[str, Any]:
    told = verification.to_json()
    return {
        "attestation_version": ATTESTATION_VERSION,
        verification.kind: verification.run,
        "manifest": read_sha256(_attested_file(verification)),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "holds": told["holds"],
        "checks": told["checks"],
        "versions": versions(),
    }


def _signed_by(path: Path, signer: Path) -> str | None:
    """Who signed a file, of those who are allowed to; None where nobody of them did."""
    if _of_minisign(signer):
        signature = path.with_name(path.name + MINISIGN)
        done = _called(["minisign", "-V", "-q", "-p", str(signer), "-m", str(path), "-x", str(signature)])
        return signer.name if done.returncode == 0 else None
    signature = path.with_name(path.name + SSH)
    found = _called(["ssh-keygen", "-Y", "find-principals", "-f", str(signer), "-s", str(signature)])
    for principal in found.stdout.split() if found.returncode == 0 else ():
        words = ["ssh-keygen", "-Y", "verify", "-f", str(signer), "-I", principal, "-n", NAMESPACE, "-s", str(signature)]
        if _called(words, given=path).returncode == 0:
            return principal
    return None


def _of_minisign(key: Path) -> bool:
    return key.read_bytes()[:200].startswith(b"untrusted comment:")


def _called(words: list[str], given: Path | None = None, asks: bool = False) -> subprocess.CompletedProcess[str]:
    """Runs a program on the content of a file, or on nothing; one that `asks` for a passphrase talks to the terminal."""
    heard = None if asks else subprocess.PIPE
    try:
        with ExitStack() as stack:
            content = None if asks else subprocess.DEVNULL if given is None else stack.enter_context(given.open("rb"))
            return subprocess.run(
                words, stdin=content, stdout=subprocess.PIPE, stderr=heard, text=True, errors="replace", check=False
            )
    except FileNotFoundError:
        raise MissingError(f"{words[0]} is not installed.", _INSTALL[words[0]]) from None
