"""Words and templates of the synthetic gene corpus. Genes are made up; no sentence is of a paper."""

from __future__ import annotations

from bench_tasks.common.iob_synthesis import Language, Rule, rule

GENE: dict[str, Rule] = {
    "GENE": rule("{gene}"),
    "gene": rule(
        "{symbol} | {symbol} - {digit} | {symbol}{digit} | {function} {product} | {organism} {symbol}{digit} "
        "| {symbol} {product} | {function} {product} {greek} | p{size} | {symbol}{digit} - {symbol} fusion {product}"
    ),
    "symbol": rule(
        "RAK",
        train="Tolb | MEF | GAPL | CYPX | hnr | SOXL | Ubr",
        dev="Wnk | JUNL | PKD | Delt | nadE",
        test="Orb | STAK | BMPL | rpoZ | Fgrl | CDKX | Myot | kinT",
    ),
    "digit": rule("1 | 2 | 4", train="3 | 8 | 11", dev="5 | 20", test="6 | 9 | 14 | 31"),
    "function": rule(
        "serine | zinc finger",
        train="tyrosine | heat shock | cyclin - dependent | retinoid",
        dev="growth hormone | calcium binding | nuclear",
        test="leucine zipper | ribosomal | odorant | cell adhesion | lipid transfer | homeobox",
    ),
    "product": rule(
        "kinase | receptor",
        train="protein | factor",
        dev="phosphatase | antigen",
        test="transporter | promoter | oncoprotein | ligase",
    ),
    "greek": rule("alpha | beta", train="I", dev="gamma", test="delta | II | epsilon"),
    "organism": rule("human", train="yeast | murine", dev="rat", test="Drosophila | chicken | viral"),
    "size": rule(train="53 | 27 | 90", dev="38 | 110", test="21 | 65 | 130 | 42"),
}
OTHER: dict[str, Rule] = {
    "n": rule("two | 12 | 30", train="three | 16", dev="five | 44", test="four | 72 | 9"),
    "cells": rule(
        "HeLa cells | fibroblasts",
        train="hepatocytes | T cells",
        dev="oocytes | myoblasts",
        test="neurons | keratinocytes | B cells",
    ),
    "method": rule(
        "Northern blots | PCR", train="gel shift assays", dev="immunoblots", test="footprinting | in situ hybridization"
    ),
    "molecule": rule("glucose | DNA", train="RNA | ATP | lipids", dev="cDNA | calcium", test="mRNA | heparin | cAMP"),
    "effect": rule("activates | represses", train="binds | cleaves", dev="induces", test="stabilizes | recruits | silences"),
    "maker": rule("kit | reagent", train="column | buffer", dev="array", test="database | software | plate"),
}
TEMPLATES = rule(
    train="""
    {GENE} {effect} {GENE} in {cells} .
    | Expression of {GENE} was studied by {method} in {n} {cells} .
    | We cloned {GENE} , which encodes a homologue of {GENE} .
    | The promoter of {GENE} contains {n} sites for {GENE} .
    | Mutants of {GENE} fail to bind {molecule} .
    | {GENE} and {GENE} form a complex with {molecule} .
    | In {cells} , {GENE} is phosphorylated by {GENE} .
    | {method} showed that {molecule} lowers {GENE} .
    | Antibodies against {GENE} stained {n} of {n} samples .
    | Neither {molecule} nor {GENE} was needed for growth of {cells} .
    """,
    dev="""
    Overexpression of {GENE} in {cells} {effect} {GENE} .
    | A cDNA of {GENE} was isolated with the {gene} {maker} .
    | {GENE} interacts with {GENE} through {n} domains .
    | Does {GENE} need {molecule} ? {method} suggest so .
    | {cells} that lack {GENE} grow slowly .
    | The C terminus of {GENE} resembles that of {GENE} .
    | Uptake of {molecule} depends on {GENE} .
    """,
    test="""
    Here we report that {GENE} {effect} {GENE} upon addition of {molecule} .
    | Transcripts of {GENE} were found by {method} in {cells} but not in {cells} .
    | Deletion of {n} residues of {GENE} abolished its export .
    | The interplay of {GENE} , {GENE} and {molecule} is not understood .
    | Purified {GENE} eluted as a dimer of {n} kDa .
    | {GENE} is required for the response of {cells} to {molecule} .
    | Sequence of {GENE} predicts a {n} residue peptide that {effect} {molecule} .
    | As judged by {method} , {GENE} replaces {GENE} in late embryos .
    """,
)
PLAIN = rule(
    train="""
    {cells} were grown with {molecule} for {n} days .
    | {molecule} was measured by {method} .
    | The {gene} {maker} was used as the supplier advised .
    | {n} patients showed no response .
    """,
    dev="""
    {molecule} was extracted with the {gene} {maker} .
    | {cells} were plated in {n} wells .
    | Values are means of {n} runs .
    """,
    test="""
    Data were read with the {gene} {maker} .
    | {n} litters of {cells} were pooled before {method} .
    | Addition of {molecule} had no effect after {n} hours .
    """,
)
LANGUAGE = Language(("GENE",), TEMPLATES, PLAIN, GENE | OTHER)
