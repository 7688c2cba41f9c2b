"""Words and templates of the synthetic chemical and disease corpus. Drugs are made up; no sentence is of a paper."""

from __future__ import annotations

from bench_tasks.common.iob_synthesis import Language, Rule, rule
from bench_tasks.ncbi_disease.language import DISEASE

CHEMICAL: dict[str, Rule] = {
    "Chemical": rule("{chemical}"),
    "chemical": rule(
        "{stem}{class} | {stem}{class} | {stem}{class} {salt} | {element} | {locant} - {group}{class} | {code} - {serial}"
    ),
    "stem": rule(
        "mel | cap",
        train="fura | dori | tena | lova | pheni | brom",
        dev="sorta | quila | zeno | prami",
        test="iver | nalti | oxca | rifo | eto | cyclo | vinbra",
    ),
    "class": rule(
        "pril | olol",
        train="azine | statin | mycin | idone",
        dev="cillin | setron",
        test="platin | barbital | tidine | lukast | caine",
    ),
    "salt": rule("sodium", train="chloride | maleate", dev="sulfate", test="acetate | citrate | mesylate"),
    "element": rule(
        "lithium | glucose",
        train="cobalt | ethanol | morphine | heparin",
        dev="nickel | caffeine | serotonin",
        test="cadmium | dopamine | nicotine | thallium | carbon monoxide | cortisol",
    ),
    "locant": rule("2", train="5 | N", dev="4 | D", test="6 | L | 17"),
    "group": rule("methyl", train="hydroxy | nitro", dev="chloro", test="amino | benzyl | fluoro"),
    "code": rule(train="SK | MB", dev="RO | LQ", test="XT | UH | ZD"),
    "serial": rule("401 | 77", train="1290 | 23", dev="808 | 15", test="5512 | 96 | 340"),
}
OTHER: dict[str, Rule] = {
    "n": rule("two | 12 | 25 | 48 | 96", train="six | 31", dev="ten | 57", test="eight | 74 | 150"),
    "beings": rule("rats | patients", train="mice | children", dev="rabbits | men", test="dogs | women | volunteers"),
    "dose": rule(
        "5 mg / kg | 10 mg", train="0 . 5 mg / kg | 200 mg", dev="40 mg / day", test="15 micrograms | 1 . 2 g | 80 mg / m2"
    ),
    "route": rule("orally", train="by infusion", dev="subcutaneously", test="intravenously | at bedtime"),
    "measure": rule(
        "blood pressure | heart rate", train="serum creatinine", dev="body weight", test="urine output | platelet count"
    ),
    "body": rule("clinic | unit", train="team | guideline", dev="society", test="registry | hotline | charity"),
}
TEMPLATES = rule(
    train="""
    {Chemical} - induced {Disease} in {n} {beings} .
    | {Disease} developed in {n} {beings} after {Chemical} ( {dose} , {route} ) .
    | We studied whether {Chemical} protects {beings} from {Disease} caused by {Chemical} .
    | Treatment with {Chemical} and {Chemical} lowered {measure} .
    | {n} {beings} with {Disease} were given {Chemical} {route} .
    | Withdrawal of {Chemical} led to recovery from {Disease} .
    | No {Disease} was seen with {Chemical} at {dose} .
    | {Chemical} is used for {Disease} but may cause {Disease} .
    | The {measure} of {beings} on {Chemical} did not change .
    | The {disease} {body} recommends {Chemical} for {Disease} .
    """,
    dev="""
    A case of {Disease} during therapy with {Chemical} is described .
    | Pretreatment with {Chemical} reduced {Disease} due to {Chemical} in {beings} .
    | {beings} received {Chemical} at {dose} {route} and had {Disease} within days .
    | {Disease} and {Disease} are known side effects of {Chemical} .
    | Neither {Chemical} nor {Chemical} altered {measure} .
    | The {disease} {body} saw {n} {beings} with {Disease} on {Chemical} .
    | Can {Chemical} prevent {Disease} ?
    """,
    test="""
    Prolonged use of {Chemical} has been linked to {Disease} .
    | In {n} {beings} , {Chemical} ( {dose} ) worsened {Disease} while {Chemical} did not .
    | We describe {beings} who presented with {Disease} following {Chemical} given {route} .
    | {Disease} resolved once {Chemical} was replaced by {Chemical} .
    | The role of {Chemical} in the onset of {Disease} remains unclear .
    | Levels of {Chemical} correlated with {measure} in {Disease} .
    | According to the {disease} {body} , {n} {beings} took {Chemical} against {Disease} .
    | {Chemical} toxicity : {Disease} and falling {measure} in {beings} .
    | Injection of {Chemical} into {beings} serves as a model of {Disease} .
    """,
)
PLAIN = rule(
    train="""
    The {measure} was taken in {n} {beings} every hour .
    | {n} {beings} of the {disease} {body} completed the trial .
    | {element} meters were read by two observers .
    | The {site} vessels of {n} {beings} were examined .
    """,
    dev="""
    All {beings} were followed for {n} weeks at the {disease} {body} .
    | Changes of {measure} were compared by rank tests .
    | An {element} electrode served as reference .
    """,
    test="""
    Written consent was given by {n} {beings} .
    | The {disease} {body} supplied records of {measure} .
    | {element} lamps lit the cages of the {beings} .
    | Sections of {site} tissue were graded blind .
    """,
)
LANGUAGE = Language(("Chemical", "Disease"), TEMPLATES, PLAIN, DISEASE | CHEMICAL | OTHER)
