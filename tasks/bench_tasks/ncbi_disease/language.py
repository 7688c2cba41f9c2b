"""Words and templates of the synthetic disease corpus. Names are made up or common words; no sentence is of a paper."""

from __future__ import annotations

from bench_tasks.common.iob_synthesis import Language, Rule, rule

DISEASE: dict[str, Rule] = {
    "Disease": rule("{disease}"),
    "disease": rule(
        "{root}{ending} | {site} {kind} | {site} {kind} | {quality} {root}{ending} | {eponym} {syndrome} "
        "| {quality} {site} {kind} | {site} and {site} {kind} | {short} | {factor} - {linked} {site} {kind}"
    ),
    "root": rule(
        "neph | arthr | derm | gastr",
        train="hepat | oste | phleb | myel | card | enceph | pancre | rhin",
        dev="cyst | neur | spondyl | kerat | aden",
        test="bronch | vascul | lymph | colp | thyr | chondr | mening | blephar | enter",
    ),
    "ending": rule("itis | opathy", train="osis | omalacia", dev="algia | oma", test="odystrophy | osclerosis | oplasia"),
    "site": rule(
        "breast | renal | colorectal",
        train="gastric | ovarian | hepatic | cardiac | cerebellar | dental",
        dev="thyroid | pulmonary | ocular | adrenal",
        test="prostatic | retinal | splenic | cochlear | esophageal | muscular | pituitary",
    ),
    "kind": rule(
        "cancer | disease | tumours",
        train="carcinoma | atrophy | failure | dysplasia | defects",
        dev="neoplasia | degeneration | insufficiency",
        test="adenoma | dystrophy | malformation | hypoplasia | sarcoma | deafness",
    ),
    "quality": rule(
        "hereditary | familial",
        train="sporadic | juvenile | X - linked | autosomal dominant",
        dev="early - onset | congenital | severe",
        test="recessive | idiopathic | neonatal | late - onset | bilateral",
    ),
    "eponym": rule(
        "Alder ' s",
        train="Vossberg | Karlin - Oduya | Tremont ' s | Brandeis - Hult",
        dev="Ostrander | Pell ' s | Nakari - Lund",
        test="Wexley | Corvane ' s | Dasgupta - Ebner | Holm ' s | Quillan",
    ),
    "syndrome": rule("syndrome | disease", train="disorder", dev="dystrophy", test="anomaly | ataxia"),
    "short": rule(
        train="HKD | APV | BOC | FMT | DLM",
        dev="RPX | CGD2 | LHO",
        test="VSK | TMX | EBN | MJT | WAGO",
    ),
    "factor": rule("copper | growth", train="iron | insulin", dev="calcium | vitamin D", test="zinc | folate | light"),
    "linked": rule("dependent | associated", train="deficient", dev="resistant", test="induced | sensitive"),
}
OTHER: dict[str, Rule] = {
    "gene": rule("{letters}{digit} | {letters}"),
    "letters": rule("BRK", train="TPX | MLN | APK | VHR", dev="RETL | CDH | PTN", test="ATQ | WRX | FBNL | DMK"),
    "digit": rule("1 | 2 | 3 | 4 | 7 | 12"),
    "n": rule("two | 14 | 27 | 62 | 108 | 9", train="three | 33", dev="five | 41", test="seven | 85 | 230"),
    "group": rule(
        "families | patients | carriers", train="children | kindreds", dev="adults | sibs", test="probands | women | twins"
    ),
    "place": rule("Finnish | Dutch", train="Italian | Japanese", dev="Scottish | Greek", test="Danish | Korean | Chilean"),
    "change": rule(
        "mutation | deletion",
        train="missense mutation | insertion",
        dev="duplication",
        test="splice variant | frameshift | repeat",
    ),
    "verb": rule("cause | modify", train="underlie | predict", dev="precede | aggravate", test="trigger | mimic | accompany"),
    "body": rule(
        "registry | foundation", train="clinic | study group", dev="society | charity", test="consortium | hotline | biobank"
    ),
}
TEMPLATES = rule(
    train="""
    Mutations of {gene} {verb} {Disease} in {n} {group} .
    | {Disease} is an inherited condition that affects {n} in 10 , 000 births .
    | We found a {change} of {gene} in {n} of {n} {place} {group} with {Disease} .
    | The gene for {Disease} was mapped near {gene} by linkage in {place} {group} .
    | Risk of {Disease} and {Disease} was raised among {group} who carry a {change} .
    | Loss of {gene} in mice leads to {Disease} .
    | In {Disease} , the {change} of {gene} abolishes its binding .
    | Patients with {Disease} ( {Disease} ) often develop {Disease} .
    | No {change} of {gene} was seen in {n} cases of {Disease} , and none in {Disease} .
    | The {disease} {body} sent samples of {n} {group} with {Disease} .
    | Expression of {gene} was low in {group} free of {Disease} .
    | {gene} , a gene for {Disease} , encodes a kinase .
    """,
    dev="""
    A {change} in {gene} may {verb} {Disease} .
    | Among {n} {place} {group} , {n} were diagnosed with {Disease} .
    | The phenotype ranges from {Disease} to {Disease} .
    | Is {gene} a modifier of {Disease} ? We typed {n} {group} .
    | Screening of {group} for {Disease} is advised by the {disease} {body} .
    | {Disease} maps to the locus of {gene} in {n} {group} .
    | Carriers of the {change} died of {Disease} before the age of 40 .
    | We report {n} {group} whose {Disease} was due to {gene} .
    """,
    test="""
    To learn how {gene} and {Disease} are related , we sequenced {n} {place} {group} .
    | Both {Disease} and {Disease} segregate with the {change} .
    | Heterozygous {group} showed no sign of {Disease} until late in life .
    | Although {Disease} is rare , its gene , {gene} , was cloned long ago .
    | Our data argue against a role of {gene} in {Disease} .
    | The {disease} {body} of the {place} ministry follows {n} {group} with {Disease} .
    | A novel {change} , found in {n} {group} , seems to {verb} {Disease} rather than {Disease} .
    | Prenatal testing for {Disease} was offered to {n} {place} {group} .
    | {Disease} results when both copies of {gene} are inactive .
    | Of {n} tumours from {group} having {Disease} , most had lost {gene} .
    """,
)
PLAIN = rule(
    train="""
    {gene} was sequenced in {n} {place} {group} .
    | The {change} creates a new site in exon {digit} of {gene} .
    | We thank the {disease} {body} for its support .
    | {eponym} method was used to count {n} clones .
    | The {site} tissue of {n} {group} was stained .
    """,
    dev="""
    The {place} {disease} {body} keeps records of {n} {group} .
    | Exon {digit} of {gene} was amplified from {site} samples .
    | Each {change} was confirmed twice .
    | {eponym} test gave no difference between the {group} .
    """,
    test="""
    Samples came from the {disease} {body} and from {n} {group} .
    | {gene} transcripts were abundant in {site} and in {site} tissue .
    | Haplotypes of {n} {place} {group} were compared at {gene} .
    | {eponym} stain was applied to {n} sections .
    """,
)
LANGUAGE = Language(("Disease",), TEMPLATES, PLAIN, DISEASE | OTHER)
