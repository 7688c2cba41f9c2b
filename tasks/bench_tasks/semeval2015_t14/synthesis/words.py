"""Word lists. Each maps ``shared`` or a split to entries; a split draws from its own and from the shared ones.

Entries that are disjoint between splits make test mentions that training never saw. All notes are invented; no entry stands for
a patient, and concept identifiers made from these words are not UMLS's.
"""

from __future__ import annotations

from collections.abc import Mapping

Entries = Mapping[str, tuple[str, ...]]


def _lists(**lists: str) -> dict[str, tuple[str, ...]]:
    """Entries written as one text a split, divided by commas."""
    return {split: tuple(" ".join(entry.split()) for entry in text.split(",")) for split, text in lists.items()}


# Sites with two sides, as noun:adjective.
PAIRED: Entries = _lists(
    shared="""
        knee:knee, shoulder:shoulder, hip:hip, ankle:ankle, wrist:wrist, kidney:renal, lung:pulmonary, breast:breast,
        atrium:atrial, ventricle:ventricular, arm:arm, leg:leg, foot:foot, hand:hand, eye:ocular, ear:ear""",
    train="""
        elbow:elbow, ovary:ovarian, flank:flank, thigh:thigh, femur:femoral, carotid artery:carotid, calf:calf, lower
        lobe:lower lobe""",
    dev="forearm:forearm, tibia:tibial, groin:groin, upper lobe:upper lobe, cheek:cheek",
    test="""
        humerus:humeral, heel:heel, orbit:orbital, adrenal gland:adrenal, iliac artery:iliac, buttock:buttock, jaw:jaw,
        parotid gland:parotid, finger:finger""",
)
# Sites without sides, as noun:adjective.
SINGLE: Entries = _lists(
    shared="""
        liver:hepatic, spleen:splenic, abdomen:abdominal, chest:chest, neck:neck, back:back, stomach:gastric,
        colon:colonic, bladder:bladder, brain:cerebral, aorta:aortic, pancreas:pancreatic, thyroid:thyroid,
        skin:cutaneous, prostate:prostatic""",
    train="""
        esophagus:esophageal, gallbladder:gallbladder, scalp:scalp, mitral valve:mitral valve, cecum:cecal,
        uterus:uterine""",
    dev="duodenum:duodenal, trachea:tracheal, sternum:sternal, tongue:tongue",
    test="""
        rectum:rectal, larynx:laryngeal, ileum:ileal, pelvis:pelvic, tricuspid valve:tricuspid valve, cervix:cervical,
        sacrum:sacral, pericardium:pericardial, epigastrium:epigastric""",
)
# Findings that follow a site's adjective: "left atrial enlargement".
FINDINGS: Entries = _lists(
    shared="""
        enlargement, stenosis, effusion, mass, lesion, nodule, cyst, abscess, hematoma, ulcer, obstruction, infarct,
        edema, thickening, hemorrhage, thrombosis, infection, dysfunction, insufficiency, injury, swelling, tenderness,
        pain""",
    train="atrophy, calcification, stricture, laceration, hypertrophy, spasm, fistula, aneurysm, perforation",
    dev="dilatation, necrosis, contusion, ischemia, hernia",
    test="""
        rupture, fibrosis, prolapse, gangrene, occlusion, erosion, embolism, hyperplasia, inflammation, dislocation""",
)
# Findings that stand before a site: "pain in the chest".
COMPLAINTS: Entries = _lists(
    shared="""
        pain, swelling, tenderness, weakness, numbness, erythema, edema, bruising, cramping, rash, lump, stiffness""",
    train="tingling, burning sensation, laceration, ulcer, induration, spasms, fracture",
    dev="aching, nodule, tremor, contusion, blistering",
    test="soreness, paresthesias, abrasion, wound infection, discoloration, hematoma, discomfort, pruritus",
)
# What a site may be said to be: "the abdomen was tender".
PREDICATES: Entries = _lists(
    shared="tender, enlarged, swollen, dilated, thickened, inflamed, distended, edematous, obstructed, erythematous",
    train="stenotic, ulcerated, infarcted, calcified, weak, congested, fractured",
    dev="necrotic, perforated, atrophic, cyanotic",
    test="occluded, gangrenous, ischemic, numb, hypertrophied, scarred, indurated, mottled",
)
# The finding that a predicate says, where it has a noun of its own: both are one concept.
NOUN_OF: Mapping[str, str] = {
    "tender": "tenderness",
    "enlarged": "enlargement",
    "swollen": "swelling",
    "dilated": "dilatation",
    "thickened": "thickening",
    "inflamed": "inflammation",
    "edematous": "edema",
    "obstructed": "obstruction",
    "erythematous": "erythema",
    "stenotic": "stenosis",
    "ulcerated": "ulcer",
    "infarcted": "infarct",
    "calcified": "calcification",
    "weak": "weakness",
    "fractured": "fracture",
    "necrotic": "necrosis",
    "perforated": "perforation",
    "atrophic": "atrophy",
    "occluded": "occlusion",
    "gangrenous": "gangrene",
    "ischemic": "ischemia",
    "numb": "numbness",
    "hypertrophied": "hypertrophy",
    "indurated": "induration",
}
PLURALS: Mapping[str, str] = {
    "foot": "feet",
    "calf": "calves",
    "humerus": "humeri",
    "ovary": "ovaries",
    "carotid artery": "carotid arteries",
    "iliac artery": "iliac arteries",
}
HEALTHY: Entries = _lists(
    shared="soft, normal in size, intact, unremarkable, supple, well perfused, symmetric",
    train="within normal limits, warm and dry, patent, normal in caliber",
    dev="of normal contour, clean",
    test="widely patent, of normal thickness, well healed, free of change, palpable",
)
DISEASES: Entries = _lists(
    shared="""
        pneumonia, hypertension, diabetes mellitus, asthma, stroke, depression, anemia, cirrhosis, gout, hypothyroidism,
        sepsis, heart failure, coronary artery disease, atrial fibrillation, osteoporosis, obesity, cellulitis, migraine""",
    train="""
        hyperlipidemia, Graves disease, Crohn's disease, emphysema, epilepsy, lymphoma, peripheral neuropathy, renal
        failure, psoriasis, pulmonary embolism, urinary tract infection, melanoma, dementia, acute renal failure,
        tuberculosis, multiple sclerosis, Hodgkin lymphoma, Barrett's esophagus, syphilis, glaucoma""",
    dev="""
        Parkinson disease, sarcoidosis, peptic ulcer disease, scleroderma, leukemia, macular degeneration, Bell's palsy,
        malaria, bipolar disorder, sinusitis, kidney stones, cardiac arrest""",
    test="""
        Addison disease, lupus, gallstones, deep venous thrombosis, schizophrenia, hemophilia, Cushing syndrome,
        multiple myeloma, celiac disease, shingles, sleep apnea, cataracts, mitral regurgitation, osteomyelitis,
        Huntington disease, endocarditis, anxiety, hemorrhoids, varicose veins, hypogonadism, alcohol withdrawal,
        meningioma""",
)
SYMPTOMS: Entries = _lists(
    shared="fever, nausea, vomiting, cough, dizziness, fatigue, headache, dyspnea, chills, diarrhea",
    train="""
        syncope, hematuria, palpitations, constipation, wheezing, melena, confusion, seizures, weight loss, dysuria,
        insomnia, jaundice""",
    dev="night sweats, hemoptysis, blurred vision, lightheadedness, anorexia, polyuria",
    test="""
        shortness of breath, hematemesis, vertigo, urinary incontinence, orthopnea, hoarseness, dysphagia, malaise,
        photophobia, double vision, rigors, epistaxis, gait instability, slurred speech, bloating""",
)
# Root and the endings it takes; roots of two splits never meet.
ROOTS: Entries = _lists(
    train="""
        gastr:itis:opathy, hepat:itis:omegaly, arthr:itis:algia:osis, dermat:itis:osis, bronch:itis:iectasis, col:itis,
        neur:itis:opathy:algia, tonsill:itis, sinus:itis, cardiomy:opathy, anemi:a, hyperkal:emia, bacter:emia,
        hypoglyc:emia, thromb:osis:ocytopenia, hypotens:ion""",
    dev="""
        pancreat:itis, cyst:itis, phleb:itis, splen:omegaly, retin:itis:opathy, hypokal:emia, hypercalc:emia,
        leuk:ocytosis""",
    test="""
        nephr:itis:opathy:osis, mening:itis, esophag:itis, encephal:itis:opathy, my:ositis:opathy:algia, thyroid:itis,
        vascul:itis:opathy, chondr:itis:osis, prostat:itis, appendic:itis, hyponatr:emia, hypoalbumin:emia,
        hyperur:icemia, cardi:omegaly:opathy, diverticul:itis:osis, pyel:itis, conjunctiv:itis, pancyt:openia""",
)
# Abbreviation=what it stands for; both carry one concept.
ABBREVIATIONS: Entries = _lists(
    shared="""
        CHF=congestive heart failure, COPD=chronic obstructive pulmonary disease, CAD=coronary artery disease,
        HTN=hypertension, DM=diabetes mellitus, UTI=urinary tract infection, MI=myocardial infarction, CVA=stroke""",
    train="""
        ESRD=end stage renal disease, GERD=gastroesophageal reflux disease, DVT=deep venous thrombosis, SOB=shortness of
        breath, AFib=atrial fibrillation, PNA=pneumonia, CKD=chronic kidney disease""",
    dev="PVD=peripheral vascular disease, BPH=benign prostatic hyperplasia, RA=rheumatoid arthritis",
    test="""
        PE=pulmonary embolism, ARDS=acute respiratory distress syndrome, OSA=sleep apnea, TIA=transient ischemic attack,
        SBO=small bowel obstruction, AKI=acute kidney injury, DKA=diabetic ketoacidosis""",
)
TUMORS: Entries = _lists(
    shared="tumor, carcinoma",
    train="adenocarcinoma, neoplasm",
    dev="malignancy, neoplasm",
    test="cancer, sarcoma, metastasis",
)
GRADES: Entries = _lists(
    shared="high grade, locally invasive",
    train="poorly differentiated, unresectable",
    dev="low grade",
    test="well differentiated, inoperable",
)
# Two closed classes, the same in every split, since what they do is the guideline's to say: a mention is annotated with and
# without a complication's adjective, but with its type only; a severity or a course is no part of it.
COMPLICATIONS: Entries = _lists(
    shared="infected, ruptured, metastatic, obstructing, bleeding",
)
TYPES: Entries = _lists(
    shared="acute, chronic, recurrent, congenital, idiopathic",
)
DRUGS: Entries = _lists(
    shared="metoprolol, lisinopril, furosemide, aspirin, heparin, insulin",
    train="atorvastatin, warfarin, levothyroxine, omeprazole, vancomycin, prednisone, gabapentin, digoxin",
    dev="clopidogrel, ceftriaxone, albuterol, sertraline, amlodipine",
    test="""
        simvastatin, carvedilol, pantoprazole, azithromycin, hydralazine, ranitidine, oxycodone, cefepime, tamsulosin,
        enoxaparin""",
)
LABS: Entries = _lists(
    shared="glucose, creatinine, hemoglobin, white count, potassium",
    train="sodium, platelets, troponin, bilirubin, INR",
    dev="lactate, albumin, calcium",
    test="BUN, hematocrit, lipase, magnesium, bicarbonate, ferritin",
)
PROCEDURES: Entries = _lists(
    shared="cholecystectomy, coronary artery bypass, hysterectomy, colonoscopy",
    train="""
        gastroscopy, arthroplasty, bronchoscopy, hip replacement, hernia repair, abscess drainage, carotid
        endarterectomy, pacemaker placement""",
    dev="cystoscopy, splenectomy, ulcer debridement, appendectomy, retinal laser surgery",
    test="""
        nephrectomy, thyroidectomy, esophagoscopy, fracture fixation, aneurysm clipping, knee arthroscopy, prostate
        biopsy, stone extraction, meniscus repair""",
)
TESTS: Entries = _lists(
    shared="CT, MRI, ultrasound, x-ray",
    train="EKG, echocardiogram, PET scan",
    dev="angiogram, duplex study",
    test="stress test, venogram, bone scan",
)
# What turns a disorder's name into the name of something else.
SERVICES: Entries = _lists(
    shared="clinic, protocol, service, education, screening",
    train="vaccine, precautions, unit, support group, registry, risk score, pathway",
    dev="team, order set, checklist, prophylaxis",
    test="program, vaccination, hotline, bundle, guidelines, prevention class, questionnaire, panel",
)
SURNAMES: Entries = _lists(
    shared="Graves, Parkinson, Crohn, Bell",
    train="Hodgkin, Barrett, Moreno, Whitfield",
    dev="Alport, Ruiz",
    test="Addison, Cushing, Huntington, Okafor",
)
JOBS: Entries = _lists(
    shared="a retired teacher, a bus driver, a nurse",
    train="a carpenter, a farmer, an accountant",
    dev="a chef, a librarian",
    test="a welder, a musician, a shopkeeper, a postal clerk",
)
ADVERBS: Entries = _lists(
    shared="diffusely, quite, clearly",
    train="slightly more, visibly, again, very",
    dev="obviously, still",
    test="exquisitely, noticeably, somewhat, grossly",
)
SEVERITIES: tuple[tuple[str, str], ...] = (("mild", "slight"), ("moderate", "moderate"), ("severe", "severe"))
COURSES: tuple[tuple[str, str], ...] = (
    ("worsening", "worsened"),
    ("resolving", "improved"),
    ("resolved", "resolved"),
    ("increasing", "increased"),
    ("decreasing", "decreased"),
    ("progressive", "worsened"),
    ("fluctuating", "changed"),
)
RELATIVES = ("mother", "father", "brother", "sister", "aunt", "grandfather", "daughter", "son")
