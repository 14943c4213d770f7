"""Which texts may say who a patient is.

Names of folders and texts in tables become cohorts and labels, which travel in exports, reports and
model cards. A text is harmless if it consists of words that describe data (:data:`_WORDS`),
single letters and short numbers. Any other may be a name, a hospital's number or a date, and a
person decides about it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from typing import Literal

from fetalstudio.formats.privacy.subjects import subject_of_folder

Likeness = Literal["a person's name", "a number", "a date"]

_MONTH = (
    "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|januar|februar|m\u00e4rz|mai|juni|juli|okt|dez"
)
_DATE = re.compile(
    r"(?<!\d)(?:(?:19|20)\d{2}[-./_ ]\d{1,2}[-./_ ]\d{1,2}"
    r"|\d{1,2}[-./_ ]\d{1,2}[-./_ ](?:\d{4}|\d{2})"
    r"|(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01]))(?:T\d+)?(?!\d)"
    rf"|(?<![^\W\d_])(?:{_MONTH})[^\W\d_]*[-./_ ,]*\d|\d[-./_ ]*(?:{_MONTH})(?![^\W\d_])",
    re.IGNORECASE,
)
_YEAR = re.compile(r"(?:19|20)\d{2}")
_DIGITS = 4
"""A number of this many digits may be that of a patient, unless it is a year."""
_ALL_DIGITS = 6
"""The same for the digits of a text together, as in ``908-172``."""
_LETTERS = re.compile(r"[^\W\d_]+")
_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""A word of letters without accents; capitals inside begin another one."""

_WORDS = """
a an all and any both by for from in into many more my new of off old on other our out over own
per the this to two one three four five six seven eight nine ten under with without or no not
first second third fourth last next left right mixed many few half big small large little long
wide short high low very extra plain same different another some tidy late early final done ready
archive backup collection cohort copy data database dataset directory document download drive
example experiment export file folder group home import input inbox item library list main
manual material origin original output package part pilot png jpg jpeg tif tiff bmp dicom dcm
project public private raw real record repository research result run sample scratch selection
sequence series set share source study subset synthetic temp test tmp training train trial
upload user validation val version work workspace fold split batch pair challenge case subject
patient participant anonymised anonymized anonymous pseudonymised deidentified
annotated annotation label labelled labeled unlabelled unlabeled mask unmasked ellipse ring
contour outline segmentation segmented segment ground truth gt prediction proposal
image img picture frame photo scan scanner machine device probe transducer clip video cine loop
movie screen screenshot shot still view plane standard axial transthalamic
transventricular transcerebellar trans thalamic ventricular cerebellar cerebellum coronal sagittal
baby cervix fetal fetus foetal foetus head brain skull abdomen femur heart pelvis thorax hc bpd
ofd ga mother maternal obstetric obstetrics gynaecology gynecology prenatal antenatal perinatal
pregnancy trimester week gestation gestational ultrasound sonography sonographic sonogram us
ultrasonic echo medical clinical hospital clinic clinics clinician department dept ward unit
centre center site institute institution university college school practice practise office
room lab laboratory team reader operator
grid north south east west northern southern eastern western central rural urban city country
region area world europe africa asia america oceania african european asian american
good bad poor fair clear blurred blurry sharp excellent moderate medium acceptable unacceptable
usable unusable yes true false none unknown normal abnormal quality positive negative
bright dark noisy shadow artefact artifact
uncertain certain unclear doubtful questionable borderline cut uncut cropped uncropped truncated
partial partially complete completely incomplete full fully mostly visible invisible hidden faint
fuzzy grainy foggy hazy saturated overexposed underexposed occluded obscured shadowed obstructed
adequate inadequate sufficient insufficient suitable unsuitable optimal suboptimal satisfactory
unsatisfactory average intermediate readable unreadable interpretable uninterpretable diagnostic
nondiagnostic valid invalid correct incorrect accepted rejected excluded included graded ungraded
rated unrated grade rating score inside outside centred centered
unklar unsicher unscharf schlecht mittelmäßig ausreichend vollständig unvollständig
abgeschnitten sichtbar verrauscht
regular excelente aceptable borrosa borroso dudosa dudoso incierta incierto
parcial completa completo incompleta incompleto visibles nítida nítido suficiente
insuficiente ruim razoável aceitável incerto duvidosa duvidoso suficientes
mauvais mauvaise moyen moyenne acceptables douteux douteuse incertain incertaine coupé coupée
partiel partielle complet incomplet floue flou
ge healthcare voluson logiq vivid philips epiq affiniti iu elite samsung medison accuvix hera
siemens acuson sequoia juniper toshiba canon aplio xario hitachi aloka arietta noblus mindray
resona nuewa dc esaote mylab sonosite butterfly clarius lumify vscan chison sonoscape konted
expert pro plus max mini portable handheld model type brand vendor
hcn psfhs jnu ifm acouslic planes db miccai grand kaggle zenodo simulated simulator simulation
nnunet nii tr ts imagestr labelstr mha mhd nrrd nifti metaimage parquet coco yolo labelme voc cvat
csv tsv xlsx json xml internal external prospective retrospective screening routine control
healthy round phase day month year desktop usb disk
src dst rgb bmode grayscale greyscale processed preprocessed unprocessed resized rescaled renamed
red green blue yellow white black grey gray orange purple
alpha beta gamma delta epsilon omega
ii iii iv vi vii viii ix xi xii
afghanistan albania algeria angola argentina armenia australia austria azerbaijan bangladesh
belarus belgium benin bolivia bosnia botswana brazil brasil bulgaria burkina faso burundi
cambodia cameroon canada chile china colombia congo croatia cuba cyprus czechia czech denmark
ecuador egypt eritrea estonia ethiopia finland france gabon gambia germany deutschland ghana
greece guatemala guinea haiti honduras hungary iceland india indonesia iran iraq ireland israel
italy ivory coast jamaica japan jordan kazakhstan kenya korea kosovo kuwait laos latvia lebanon
lesotho liberia libya lithuania luxembourg malawi malaysia mali malta mauritania mexico moldova
mongolia morocco mozambique myanmar namibia nepal netherlands niger nigeria macedonia norway
oman pakistan panama paraguay peru philippines poland portugal qatar romania russia rwanda
salvador saudi arabia senegal serbia sierra leone singapore slovakia slovenia somalia spain
sri lanka sudan sweden switzerland syria taiwan tanzania thailand togo tunisia turkey turkiye
uganda ukraine emirates kingdom united states uruguay uzbekistan venezuela vietnam yemen zambia
zimbabwe republic
"""
"""Words that describe data, hospitals and scanners, that grade pictures, and countries. Words that
are names as well are none of them, such as Ok, Strong, Mala or Cortado."""
_CODES = """
abw afg ago aia ala alb and are arg arm asm ata atf atg aus aut aze bdi bel ben bes bfa bgd bgr
bhr bhs bih blm blr blz bmu bol bra brb brn btn bvt bwa caf can cck che chl chn civ cmr cod cog
cok col com cpv cri cub cuw cxr cym cyp cze deu dji dma dnk dom dza ecu egy eri esh esp est eth
fin fji flk fra fro fsm gab gbr geo ggy gha gib gin glp gmb gnb gnq grc grd grl gtm guf gum guy
hkg hmd hnd hrv hti hun idn imn ind iot irl irn irq isl isr ita jam jey jor jpn kaz ken kgz khm
kir kna kor kwt lao lbn lbr lby lca lie lka lso ltu lux lva mac maf mar mco mda mdg mdv mex mhl
mkd mli mlt mmr mne mng mnp moz mrt msr mtq mus mwi mys myt nam ncl ner nfk nga nic niu nld nor
npl nru nzl omn pak pan pcn per phl plw png pol pri prk prt pry pse pyf qat reu rou rus rwa sau
sdn sen sgp sgs shn sjm slb sle slv smr som spm srb ssd stp sur svk svn swe swz sxm syc syr tca
tcd tgo tha tjk tkl tkm tls ton tto tun tur tuv twn tza uga ukr umi ury usa uzb vat vct ven vgb
vir vnm vut wlf wsm yem zaf zmb zwe uk eu
"""
"""Of countries (ISO 3166). They count in capitals only: ``Ben`` may be a person."""


def _without_accents(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


_HARMLESS = frozenset(_without_accents(_WORDS).split())
_COUNTRIES = frozenset(_CODES.upper().split())


def looks_like(text: str) -> Likeness | None:
    """What a text may be that says who a patient is, or when she was born or examined.

    None for a text of harmless words (``Scanner A``, ``HC18``, ``site-2``, ``EGY``).
    """
    plain = unicodedata.normalize("NFKC", text)
    if _DATE.search(plain):
        return "a date"
    numbers = re.findall(r"\d+", plain)
    long = [n for n in numbers if len(n) >= _DIGITS and not _YEAR.fullmatch(n)]
    if long or sum(map(len, numbers)) >= _ALL_DIGITS or subject_of_folder(plain.strip()):
        return "a number"
    return None if all(map(_is_harmless, _words(plain))) else "a person's name"


def _words(text: str) -> Iterator[str]:
    """The words, without accents: an accent ends none, or names such as Lê would be two single
    letters."""
    for letters in _LETTERS.findall(_without_accents(text)):
        yield from _WORD.findall(letters) if letters.isascii() else (letters,)


def _is_harmless(word: str) -> bool:
    lower = word.lower()
    known = lower in _HARMLESS or lower.removesuffix("s") in _HARMLESS
    return (len(lower) == 1 and lower.isascii()) or known or word in _COUNTRIES
