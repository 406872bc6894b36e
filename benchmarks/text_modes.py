"""The modes of text cleaning side by side: what they keep of the clinic, what they take of the patient, how fast.

    python benchmarks/text_modes.py [--lost] [--left] [--descriptors FILE]

The corpus is this file's own: descriptors as scanners and radiographers write them, in four languages, without anybody
in them, and texts about invented people, with what identifies in double brackets. `--lost` prints every clinical token
that was lost, `--left` every identifying one that stayed; FILE holds more descriptors, one a line.
"""

import argparse
import re
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "plugin"))

from orthanc_deid.confidentiality.identifiers import Identifiers
from orthanc_deid.confidentiality.texts.cleaner import Cleaner, Mode

DESCRIPTORS = """
t1_mprage_sag_p2_iso_1.0
t2_space_dark-fluid_sag_p2_iso
t1_vibe_dixon_tra_bh_320_W
t2_haste_cor_mbh_p2
ep2d_diff_b50_400_800_tra_p2_ADC
ep2d_diff_3scan_trace_p2_TRACEW
ep2d_bold_moco_p2_s2
ep2d_perf_p2_s4_RELCBF
gre_field_mapping_2mm
swi3d_tra_p2_1.5mm_mag
t2_tse_tra_320_p2_fs
t2_tirm_tra_dark-fluid_320
pd_tse_fs_sag_384
t1_fl3d_cor_ce_dyn
fl3d_ce_cor_angio_SUB_MIP_TRA
tof_fl3d_tra_p2_multi-slab
resolve_4scan_trace_tra_192_p2
t1_se_sag_KM
ciss3d_tra_0.6mm
AAHead_Scout_32ch
localizer_haste_3plane
MPRAGE_ADNI_P2
dMRI_dir98_AP_SBRef
rfMRI_REST_AP
SpinEchoFieldMap_PA
cmrr_mbep2d_bold_task_run1
tfl_b1map_sag
medic_tra_c5-c7
cv_cine_2ch_trufi_ipat2
PSIR_TFL_SAX_10slices
T1_MOLLI_5(3)3_SAX
T2_map_SAX_mid
flow_venc150_tp
t1_starvibe_fs_tra_caipi
WIP 3D NerveVIEW
sT2W_TSE
eT1W_FFE_3D
T1W_3D_TFE_SAG
T2W_FLAIR_SPAIR_long TR
DWI_3b_0-50-800
dDWI_EPI_SSH b1000
mDIXON_Quant_BH
T2W_TSE_RT_COR
B_TFE_BH_M2D SA
3D_BrainVIEW_FLAIR
VEN_BOLD_HR
SURVEY_MST
Reg - DWI
e-THRIVE_BH art
SShTSE_MRCP_rad
Ax T2 FSE PROPELLER
Ax T1 FLAIR +C
Sag CUBE T2 FLAIR fs
Cor FIESTA-C IAC
AX LAVA FLEX +C 20sec
WATER: Ax LAVA-Flex
FAT: AX T2 IDEAL
Ax SWAN 3D
Ax DWI b=1000 ASSET
Apparent Diffusion Coefficient (mm2/s)
3-pl Loc SSFSE
Sag BRAVO 1mm +C
3D TOF MOTSA COW
COL:MIP 3D TOF
Cor STIR L-spine
Ax 3D SPGR Gd
DISCO Ax Dynamic phase 3
MRCP 3D RTr Asset
2D FIESTA 4ch FASTCARD
fMRI finger tapping R
DTI 64 dir b2000
FA map color
CBF (Color)
3D ASL (non contrast) PLD 1525
SSFP short axis stack
LGE PSIR 10min post gad
Delayed enhancement 2 chamber
T1 map native
MRA neck with contrast
MRV head 2D TOF COR
AX PD FS FOV 14
SAG PD RT KNEE
COR T1 LEFT SHOULDER
OBL SAG T2 FS rotator cuff
MR BRAIN W WO CONTRAST
MRI LUMBAR SPINE WITHOUT CONTRAST
MR Abdomen MRCP w/o
MRI Breast bilateral w/wo contrast CAD
MRI PROSTATE MULTIPARAMETRIC
Cardiac MRI with stress perfusion
MR Enterography
Thorax 1.0 B70f
Abdomen 5.0 B30f
Head 4.0 H31s
Topogram 0.6 T20f
ThorAbd 5.0 Br40 3
CoronaryCTA 0.6 Bv40 A3 BestDiast 75%
Abd Venous 3.0 I30f 3
DE_Abdomen 1.5 D30f Dual Energy
PreMonitoring 10.0 B20f
Monitoring
CareDose Report
Spine 2.0 B60s SPO cor
Lung 1.0 CE LCAD
Neck 1.0 J40s 2
CT HEAD/BRAIN WO CONTRAST
CT CHEST ABDOMEN PELVIS W IV CONTRAST
CTA Head and Neck
CT ANGIO CHEST PE PROTOCOL
CT Sinus without contrast
CT COLONOGRAPHY PRONE
HRCT EXPIRATION
Low dose lung cancer screening
CT UROGRAM 3 PHASE
CT guided biopsy liver
Cardiac CT calcium score
SmartScore - Gated 0.5 sec
STD 1.25MM
BONE PLUS 0.625
LUNG 2.5 mm ASiR-V 40%
AX BONE THIN
COR MPR 3MM
SAG REFORMATS
VRT runoff
MIP Range[1]
Dose Report
Patient Protocol
Scout AP/LAT
SURVIEW
Body 1.0 CE FC08
Brain 5.0 FC26 AIDR 3D
Lung 1.0 FC51
Body-Low Dose 5.0 FC18
Cardiac 0.5 FC03 75% HALF
Vol. 0.5 CE Axial
iDose (3)
IMR1,Brain Routine
Chest Routine,iDose (4)
Venous phase 70 keV mono
VNC liver
Iodine overlay
4D perfusion MTT
Ao+run off 1.5
Pelvis bone 2mm cor/sag
C-spine flexion extension
XR CHEST PA AND LATERAL
XR CHEST 1 VIEW PORTABLE
CHEST AP ERECT
XR Knee 4 views weight bearing left
XR PELVIS AP AND FROG LEG
XR Hand 3V RT
L-SPINE AP LAT SPOT
XR ABDOMEN KUB
Shoulder Grashey view
Scaphoid series
Panorex
Skull Towne view
DX Foot oblique
Bone age left hand
Scoliosis full spine standing
Waters view sinuses
Abdomen supine and upright
RIBS BILATERAL
Swallow study barium
MAMMO SCREENING BILATERAL TOMO
L CC
R MLO
RMLO Implant displaced
LCC Spot Magnification
Breast Tomosynthesis Image
C-View R CC
MG Stereotactic biopsy left breast
US ABDOMEN COMPLETE
US DOPPLER CAROTID BILATERAL
US Thyroid and neck
US RENAL AND BLADDER
OB 2nd trimester anatomy scan
US PELVIS TRANSVAGINAL
ECHO TTE LIMITED
Liver elastography SWE
RUQ gallbladder
Venous duplex lower extremity left
Testicular US with Doppler
Hip US infant Graf
FAST exam
PET CT SKULL BASE TO MID-THIGH
PET WB AC
PET WB UNCORRECTED
WB_3D_MAC
CTAC 3.75 THICK
FDG brain 10 min
PSMA PET/CT Ga-68
NaF bone PET
Dotatate 68Ga whole body
PET Statistics
SUV body weight MIP
NM BONE SCAN WHOLE BODY
Bone 3 phase feet
MIBI stress gated
REST TOMO IR
MYO PERF SPECT AC
V/Q scan perfusion RAO
HIDA with CCK
DaTscan I-123
Gastric emptying solid 4 hr
MAG3 renogram Lasix
Thyroid uptake 24h
Lymphoscintigraphy breast
I-131 post therapy whole body
XA Coronary angiography LAO 30 CRAN 20
LCA RAO CAUD
Left Ventriculography
Cerebral angiogram RT ICA AP
DSA 3 f/s
IR biliary drainage
Abdominal aorta runoff DSA
Fluoro guided lumbar puncture
TACE right hepatic
CBCT DynaCT
Roadmap
Exposure 15 fps
CT Thorax/Abdomen mit KM
CT Schädel nativ
CT Thorax nativ low dose
CT Abdomen portalvenös
CT-Angiographie Aorta
CT HWS mit Rekonstruktionen
CT Nasennebenhöhlen
MRT Kopf mit und ohne KM
MRT Schädel nativ + KM
MRT LWS nativ
MRT Kniegelenk links
MRT Oberbauch mit MRCP
MRT Becken (Prostata)
MRT Schulter rechts
MRT Herz mit Stress
MR-Mammographie
Röntgen Thorax in 2 Ebenen
Thorax p.a. stehend
Thorax im Liegen
Beckenübersicht
Knie rechts in zwei Ebenen
Hüftgelenk axial nach Lauenstein
Handgelenk seitlich
Abdomenübersicht Linksseitenlage
Skelettszintigraphie Ganzkörper
Schilddrüsenszintigraphie
PET-CT Ganzkörper FDG
Sonographie Abdomen
Duplexsonographie der Halsgefäße
Mammographie beidseits
Angiographie Becken-Bein
Kontrolle nach Osteosynthese
Verlaufskontrolle bei bekanntem Aneurysma
Ausschluss Lungenembolie
Z.n. Hüft-TEP links
V.a. Bandscheibenvorfall L5/S1
Ausschluss Hirnblutung bei Sturz
Tumornachsorge, Lymphknotenmetastasen?
Keine Fraktur, kein Erguss.
Unauffälliger Befund von Leber und Milz.
Kein Nachweis einer frischen Ischämie.
Degenerative Veränderungen der Lendenwirbelsäule
Raumforderung im rechten Oberlappen, 12 mm
Wiederholung wegen Bewegungsartefakten
Untersuchung abgebrochen, Patient unruhig
Weichteilfenster 5 mm
Knochenfenster sag 2mm
IRM cérébrale sans et avec injection
IRM du genou gauche
IRM lombaire
Scanner thoraco-abdomino-pelvien
TDM cérébrale sans injection
TDM TAP temps portal
Radiographie du thorax de face
Rx main droite 3 incidences
Échographie abdominale
Echographie pelvienne sus-pubienne
Mammographie bilatérale face et oblique
Scintigraphie osseuse corps entier
TEP-TDM au FDG
Angio IRM des troncs supra-aortiques
Bilan d'extension, cancer du sein
Suspicion d'embolie pulmonaire
Absence de lésion focale hépatique
Pas d'épanchement pleural
Contrôle post-opératoire prothèse de hanche
Douleur lombaire depuis 3 semaines
AX T1 GADO
COUPES FINES OS
Recherche de sténose carotidienne
TC de tórax con contraste
TC abdomen y pelvis sin contraste
TAC craneal urgente
RM cerebral con gadolinio
RM de rodilla izquierda
RM columna lumbosacra
Radiografía de tórax PA y lateral
Rx cadera derecha
Ecografía abdominal
Mamografía bilateral
Gammagrafía ósea
PET-TC cuerpo entero
AngioTC de arterias pulmonares
Sospecha de fractura de cadera
Dolor abdominal, descartar apendicitis
Sin hallazgos patológicos
Nódulo pulmonar en lóbulo superior derecho de 8 mm
Control postoperatorio
T2 SAG COLUMNA CERVICAL
TC torace ad alta risoluzione
RM encefalo senza e con mdc
RM ginocchio sinistro
RX torace 2 proiezioni
Ecografia addome completo
Frattura del femore destro
HEAD
CHEST
ABDOMEN
LSPINE
KNEE
WHOLEBODY
BREAST
Head Neck
UPPER EXTREMITY
Achilles tendon tear
Crohn's disease, MR enterography
Baker's cyst left popliteal fossa
Hodgkin lymphoma restaging
Wilson disease follow-up
Parkinson's disease, DaTscan
Hill-Sachs lesion
Alzheimer dementia, FDG PET
Schmorl node L2
Cobb angle 23 degrees
No acute intracranial hemorrhage.
There is a 4 mm nodule in the right upper lobe.
The liver is normal in size and echotexture.
No evidence of deep vein thrombosis.
Mild degenerative changes at L4-L5 and L5-S1.
Stable postoperative appearance of the right hip.
BI-RADS category 2: benign.
Ejection fraction 55%.
LVEDV 120 ml
Diameter of the ascending aorta 3.8 cm
Gestational age 20w3d
Fetal heart rate 145 bpm
Patient unable to hold breath
Motion artifact, repeated sequence
Pain after fall, rule out fracture
r/o PE
s/p CABG
h/o breast ca
SOB, cough, fever
100 ml Omnipaque 350 IV 3 ml/s
Gadovist 7.5 ml i.v.
Creatinine 0.9 mg/dl, eGFR 85
120 kV 250 mAs
TR 2000 TE 90 TI 150
TE=90ms TR=4500ms FA 150
FOV 240x240 matrix 256x256
2.5x2.5x3 mm
b0 b500 b1000
NEX 2 ETL 16
3mm skip 0.3
45 y/o male with headache
65 jährige Patientin mit Hüftschmerzen
L4/5 disc herniation
C5-C6 stenosis
T12 compression fracture
Segment VII liver lesion 2.3 x 1.8 cm
PI-RADS 4 left peripheral zone
TNM staging cT2 cN0 M0
Time 14:30, delay 70 s
Phase 40% R-R
1st follow up after 6 months
grade II glioma
CD import outside study
Key images
Screen Save
Results MM Oncology Reading
Syngo.via evidence document
Segmentation of liver and spleen
GTV1 boost
PTV 50.4 Gy
Left parotid
Spinal cord PRV
Lung_L
Rectum
Femoral_Head_R
Beam 1 AP
Isocenter setup kV
QA phantom weekly
"""

KNOWN = Identifiers(
    names=frozenset(
        {"Müller-Lüdenscheidt", "Müller", "Lüdenscheidt", "Jürgen", "Müller-Lüdenscheidt Jürgen", "Okonkwo", "Adaeze"}
        | {
            "Adaeze Okonkwo",
            "Weiß",
            "Li",
            "Wei",
            "Li Wei",
            "山田",
            "太郎",
            "山田 太郎",
            "Иванов",
            "Петр",
            "Иванов Петр",
        }
    ),
    ids=frozenset({"MRN-7734512", "ACC2019-0042", "SID88"}),
    dates=frozenset({"19530417"}),
    places=frozenset({"Klinikum Nordhausen-Süd", "Lindenallee 14, 99734 Nordhausen", "Radiologie Dr. Weiß"}),
    contacts=frozenset({"+49 3631 5550123", "j.mueller@nordpost.example"}),
)

# What identifies stands in [[ ]].
IDENTIFYING = """
CT Head [[Müller]]
[[MUELLER-LUEDENSCHEIDT]] MRT Knie
[[muller]] ct thorax
[[Jürgen]] [[Müller]]: Kontrolle
[[Müller]], [[Jürgen]] - LWS
[[JUERGEN]]_t1_mprage
Verlauf bei Herrn [[Lüdenscheidt]]
T1_[[Mueller]]_sag
[[OKONKWO]]^[[ADAEZE]] chest
[[adaeze]] [[okonkwo]] repeat scan
compare with [[Okonkwo]]'s prior
referred by Dr [[Weiss]]
Rö Thorax, Dr. [[Weiß]]
[[Li]] [[Wei]] abdomen
[[Wei]] [[Li]] abdomen
患者[[山田]]様 CT
[[山田太郎]] MRI
Снимок [[ИВАНОВ]] П.
[[Иванов]] [[Петр]] CT head
study [[7734512]] brain
[[MRN]]-[[7734512]]
[[mrn7734512]] axial
[[77]] [[345]] [[12]] head
Acc [[ACC2019]]-[[0042]]
see [[ACC20190042]] for prior
[[SID88]] pilot
geb. [[17]].[[04]].[[1953]]
DOB [[04]]/[[17]]/[[1953]] chest
born [[April]] [[17]], [[1953]]
né le [[17]] [[avril]] [[1953]]
[[19530417]] knee
Tel [[03631]] [[5550123]] Rückruf
call +[[49]] [[3631]] [[5550123]]
[[j]].[[mueller]]@[[nordpost]].[[example]] Befund
Zuweisung [[Klinikum]] [[Nordhausen]]-[[Süd]]
wohnt [[Lindenallee]] [[14]]
aus [[Nordhausen]]
MRI brain for [[Kowalczyk]]
[[Fitzgerald]] left knee
pt [[Abernathy]] moved during scan
[[Bjornsson]], follow up
brain mri [[papadopoulos]]
scan of [[Nwachukwu]] repeated
[[sunita]] [[deshpande]] mammogram
[[Thibault]] IRM cérébrale
[[Ferrarini]] TC torace
[[Echeverria]] RM rodilla
[[Grzegorz]] [[Brzeczyszczykiewicz]] CT
[[Oyelaran]]_AX_T2
T2_SAG_[[Haverkamp]]
[[vanderberg]] chest
[[Kowalczik]] head
[[Fitzgereld]] knee
[[Papadopulos]] MRI
[[Schimdt]] CT Kopf
[[Abernthy]] thorax
[[yzcklawok]] mri
[[nosretaP]] brain
[[Петрова]] МРТ
[[Παπαδόπουλος]] CT
[[田中]] 胸部CT
[[김민수]] chest
[[محمد]] CT head
[[שרה]] [[כהן]] MRI
[[สมชาย]] CT
Mr. [[Pemberton]] allergic to contrast
Mrs [[Hollingsworth]] claustrophobic
Dr. [[Venkataraman]] requested
dr [[ostrowski]] to review
Prof. Dr. med. [[Hellwig]]
PD Dr. [[Schönemann]] befundet
Mme [[Desrosiers]] à jeun
M. [[Beauregard]] genou droit
Sr. [[Etxeberria]] control
Sra. [[Villalobos]] tórax
Sig. [[Bevilacqua]] torace
Frau [[Kirchhoff]] wurde aufgeklärt
Herr [[Zollikofer]] nüchtern
Name: [[Castellanos]]
Patient: [[Lindqvist]], [[Astrid]]
Patient name [[Rasmussen]] [[Freja]]
Operator: [[jbrightman]]
Technologist: [[Delacroix]]
MTRA: [[Wiesinger]]
performed by [[Sutherland]]
read by [[Mehrotra]] at 14:30
discussed with [[Applegate]]
überwiesen von [[Dorfmeister]]
Befunder: [[Dr]]. [[Hakimi]]
signed [[T]]. [[Vandenberghe]] MD
[[J]]. [[Castlebury]] MRI spine
[[Castlebury]] [[J]] MRI
[[Castlebury]], [[J]].[[R]]. spine
prior from [[12]].[[03]].[[2019]]
compared to [[2018]]-[[11]]-[[02]]
MRI [[20190312]] stable
scan on [[03]]/[[14]]/[[2019]] reviewed
surgery [[3]] [[May]] [[2017]]
OP am [[3]]. [[Mai]] [[2017]]
opéré le [[12]] [[février]] [[2016]]
operado el [[5]] de [[junio]] de [[2015]]
operato il [[7]] [[luglio]] [[2014]]
since [[March]] [[2015]]
seit [[2013]] bekannt
since [[06]]/[[2012]]
CT [[Jan]] [[5]] [[2020]]
follow up [[5]]-[[Jan]]-[[2020]]
exam [[11]].[[2]].[[20]] compared
call [[617]]-[[555]]-[[0142]]
phone ([[617]]) [[555]]-[[0187]]
Tel. [[030]]/[[5550199]]
Handy [[0171]] [[5550133]]
tél [[01]] [[55]] [[50]] [[12]] [[34]]
+[[33]] [[1]] [[55]] [[50]] [[12]] [[34]]
móvil +[[34]] [[655]] [[501]] [[234]]
pager [[55501]]
fax [[0221]] [[5550111]]
mail [[ann]].[[lee]]@[[hospital]].[[example]]
contact [[bwalton22]]@[[gmail]].[[example]]
https://[[portal]].[[stvincent]].[[example]]/[[pat]]/[[4471]]
www.[[praxis]]-[[hellwig]].[[example]]
MRN [[00458123]] brain
MRN: [[A458123]]
Patient ID [[P0045812]]
Acc# [[20190042817]]
accession [[CT1904458]]
Case No. [[118845]]
Fall-Nr. [[2019447731]]
order [[9938271]] chest
SSN [[078]]-[[05]]-[[1120]]
NHS [[943]] [[476]] [[5919]]
AHV [[756]].[[1234]].[[5678]].[[97]]
Versichertennr [[A123456780]]
IPP [[800123456]]
[[4581239]] knee
[[B0045812X]] spine
[[1]].[[2]].[[840]].[[113619]].[[2]].[[55]].[[3]] source
[[14]] [[Maple]] [[Street]]
[[221]] [[Elmhurst]] [[Avenue]] Apt 4
[[Goethestraße]] [[12]]
[[Bahnhofstr]]. [[7]], [[80331]] [[München]]
[[12]] [[rue]] de la [[République]]
[[Calle]] [[Serrano]] [[45]]
[[Via]] [[Garibaldi]] [[8]]
[[60590]] [[Frankfurt]]
[[Boston]] [[MA]] [[02115]]
lives in [[Wolverhampton]]
transfer from [[Massachusetts]] [[General]] [[Hospital]]
[[St]]. [[Bartholomew]]'s [[Hospital]] CT
[[Mayo]] [[Clinic]] outside study
prior at [[Uniklinik]] [[Heidelberg]]
[[Universitätsklinikum]] [[Tübingen]] MRT
CT [[Hôpital]] [[Lariboisière]]
[[Hospital]] [[Clínic]] [[Barcelona]] RM
[[Ospedale]] [[Niguarda]] TC
[[Charité]] Vorbefund
[[Addenbrookes]] CT head
[[Sloan]] [[Kettering]] PET
93 y/o: [[93]] yo female with fall
[[97]] year old with stroke
aged [[94]], hip pain
[[91]]-jährige Patientin, Sturz
[[95]] ans, chute
[[101]] Jahre alt
[[92]]F chest pain
age: [[96]] knee
employee of [[Volkswagen]], shoulder pain
teacher at [[Lakeview]] [[High]]
brother of [[Dmitri]] scanned
wife [[Guadalupe]] present
injured at [[Glastonbury]] festival
room [[4471B]] portable
signed [[kjt04]]
initials [[HJK]]
[[GrzybowskiAnna]]_T1
CT_[[KatarzynaNowicka]]_abd
[[doe]][[john]] test
"""  # noqa: RUF001  # Cyrillic letters are meant

TOKEN = re.compile(r"[^\W_]+")
MARKED = re.compile(r"\[\[(.*?)\]\]")


def main() -> None:
    """Print one row for each mode."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lost", action="store_true")
    parser.add_argument("--left", action="store_true")
    parser.add_argument("--descriptors", type=Path)
    options = parser.parse_args()
    descriptors = DESCRIPTORS.strip().splitlines()
    marked = IDENTIFYING.strip().splitlines()
    others = options.descriptors.read_text(encoding="utf-8").splitlines() if options.descriptors else []
    print(f"{len(descriptors)} descriptors, {len(marked)} texts that identify, {len(others)} other descriptors")
    print(f"{'mode':12} {'kept':>7} {'kept beside':>12} {'removed':>8} {'kept, others':>13} {'ms/text':>8}")
    for mode in Mode:
        print(row(mode, descriptors, marked, others))
        if options.lost:
            print(
                "  lost:",
                *(f"{token} <{text}>" for text in descriptors for token in lost(cleaner(mode), text)),
                sep="\n    ",
            )
        if options.left:
            print(
                "  left:",
                *(f"{token} <{text}>" for text in marked for token in left(cleaner(mode), text)),
                sep="\n    ",
            )


def cleaner(mode: Mode) -> Cleaner:
    """Make the cleaner of the invented study; dates go, so that no shifted one looks like a token that stayed."""
    return Cleaner(mode, KNOWN, days=None)


def row(mode: Mode, descriptors: list[str], marked: list[str], others: list[str]) -> str:
    """Answer the figures of one mode."""
    texts = [*descriptors, *(MARKED.sub(r"\1", text) for text in marked)]
    one = cleaner(mode)
    one.clean("warm")
    began = time.perf_counter()
    for text in texts:
        one.clean(text)
    milliseconds = (time.perf_counter() - began) / len(texts) * 1000
    kept = share(sum(len(lost(one, text)) for text in descriptors), sum(len(TOKEN.findall(t)) for t in descriptors))
    beside = [MARKED.sub(" ", text) for text in marked]
    lost_beside = sum(len(lost(one, MARKED.sub(r"\1", text), MARKED.sub(" ", text))) for text in marked)
    near = share(lost_beside, sum(len(TOKEN.findall(t)) for t in beside))
    gone = share(sum(len(left(one, text)) for text in marked), sum(len(identifying(text)) for text in marked))
    other = share(sum(len(lost(one, text)) for text in others), sum(len(TOKEN.findall(t)) for t in others))
    return f"{mode:12} {kept:7.1%} {near:12.1%} {gone:8.1%} {other:13.1%} {milliseconds:8.3f}"


def share(missing: int, every: int) -> float:
    """Answer the share that is not missing."""
    return 1 - missing / every if every else 0.0


def lost(one: Cleaner, text: str, clinical: str | None = None) -> list[str]:
    """Answer the clinical tokens of a text that its cleaned form lacks."""
    after = Counter(TOKEN.findall(one.clean(text)))
    return list((Counter(TOKEN.findall(text if clinical is None else clinical)) - after).elements())


def identifying(text: str) -> list[str]:
    """Answer the tokens in brackets."""
    return [token for marked in MARKED.findall(text) for token in TOKEN.findall(marked)]


def left(one: Cleaner, text: str) -> list[str]:
    """Answer the identifying tokens that the cleaned form still holds, whole or inside a word."""
    after = " ".join(TOKEN.findall(one.clean(MARKED.sub(r"\1", text)))).casefold()
    beside = {token.casefold() for token in TOKEN.findall(MARKED.sub(" ", text))}
    stays = after.split() if any(map(str.isdigit, after)) else after
    return [t for t in identifying(text) if _stays(t.casefold(), after, stays) and t.casefold() not in beside]


def _stays(token: str, text: str, tokens: str | list[str]) -> bool:
    short = len(token) < len("name")
    return token in tokens if short and not isinstance(tokens, str) else token in (text.split() if short else text)


if __name__ == "__main__":
    main()
