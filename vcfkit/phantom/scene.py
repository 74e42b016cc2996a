"""From a virtual patient to the parameters of one crop, and the ground truth that follows from them.

A scene is plain numpy: sampled once, on the CPU, from the patient's own streams. The renderer only evaluates it.
"""

import dataclasses
import functools
import math
from dataclasses import dataclass

import numpy as np

from . import signs
from .anatomy import BODIES, LEVELS, Alignment, Spine, align, draw_spine, generator
from .chord import LEAST_CONCAVITY, P_MAX
from .cohorts import VirtualPatient
from .disease import Disease, draw_disease, extra_loss
from .scanner import SOURCE_OBJECT, Scanner, expose
from .surroundings import Surroundings, draw_surroundings

NU, NV = 256, 128  # samples of the profiles over depth and height
EXPONENT = 2.45  # of the cross-section
CENTRAL_LOSS = 0.35  # part of a loss that deepens the middle of the endplate, the rest lowers its rim
CORNER_MM, CORNER_START = 1.2, 0.86  # rim corners are rounded over the outer 14 % of the depth
SPUR_WIDTH = 0.26  # of the half height, along the anterior wall
MARGIN, MARGIN_SD = 0.12, 0.06  # of the box, per side, as fractions of the projected body; the same for all classes
TEXTURE_SHAPE, TEXTURE_V, TEXTURE_U = (80, 110), 0.5, 0.4  # trabecular lattice: rows and columns, mm per step
CONTEXT_REACH = 2  # intact bodies on either side of the target that the film's processing sees
P = np.linspace(-P_MAX, P_MAX, NU)
VN = np.linspace(-1, 1, NV)
CORNER = CORNER_MM * (np.clip(np.abs(P) - CORNER_START, 0, 1 - CORNER_START) / (1 - CORNER_START)) ** 2
PRIMITIVES = ("SN", "KD", "PS")  # diseases of paper 03 that are more than a fracture
CLEFT_POINTS = 2  # of the MRI part of ASTLOF (paper 04): vacuum or fluid in the body
# Morphology of ASTLOF (paper 04): shares for want of a label, and what a normal and a burst body look like; our choice.
MORPHOLOGY = (0.15, 0.70, 0.15)
NORMAL_LOSS = 0.12  # largest loss of the height
BURST_POSTERIOR, BURST_WALL = 0.60, (2.0, 4.5)  # least posterior loss, as a share of the largest; bulge, mm
BURST_PEAK = (0.30, 0.65)  # height of the fragment's edge above the middle, in half heights: the upper third
# No sign is present; the amplitudes, which nothing reads then, are those of some fracture.
UNBROKEN = dataclasses.replace(
    signs.draw_fracture(np.random.default_rng(0), label="acute", ha=25.0, hp=25.0, effect=1.0),
    label="",
    loss=(0.0, 0.0, 0.0),
    compaction=0.0,
    flags=dict.fromkeys(signs.SIGNS, False),
)


def _smoother(n, step, sigma, knots):
    """Gaussian matrix (n, knots) from white noise at evenly spaced knots to a smooth line of SD 1; lengths in mm."""
    at, of = np.arange(n) * step, np.linspace(0, (n - 1) * step, knots)
    weight = np.exp(-0.5 * ((at[:, None] - of[None, :]) / sigma) ** 2)
    return weight / np.sqrt((weight**2).sum(1, keepdims=True))


STREAK_V = _smoother(TEXTURE_SHAPE[0], TEXTURE_V, 1.4, 40)  # vertical correlation 2 mm, horizontal 0.4 mm
PATCH_V = _smoother(TEXTURE_SHAPE[0], TEXTURE_V, 1.5, 32)
PATCH_U = _smoother(TEXTURE_SHAPE[1], TEXTURE_U, 1.2, 44)


@dataclass(frozen=True)
class Body:
    """One body as the renderer needs it; mm, radians, HU."""

    y: float
    z: float
    tilt: float
    depth: float
    width: float
    exponent: float
    slope: float
    over_u: np.ndarray  # (NU, 5)
    over_v: np.ndarray  # (NV, 3)
    hp: float
    rotation: float
    wall: float
    endplate: float
    hu: float  # mean trabecular HU with compaction and oedema
    shell: float  # factor of the cortex, raised where sclerosis is not drawn as a band of its own
    pedicle: float  # remaining part of one pedicle's shell
    texture: np.ndarray | None  # TEXTURE_SHAPE, mean 0, SD 1; None where pixels are too coarse to show it


@dataclass(frozen=True)
class TargetSigns:
    """Additions to the target body that are no change of shape; zero when absent."""

    band_hu: float
    sclerosis_sup: float  # HU
    sclerosis_inf: float
    line_hu: float
    line_v: float  # mm, at u = 0
    line_slope: float
    line_bend: float  # 1/mm
    line_from: float  # mm, posterior end along u
    swelling: float  # mm
    lysis: np.ndarray  # (2, 5): u, v, radius u, radius v, half path; path 0 when absent
    destruction: float
    destruction_u: float
    destruction_v: float
    limbus_u: float
    limbus_v: float
    limbus: float  # half path of the gap, mm
    vacuum: float  # half path of gas in the disc below, mm
    vacuum_v: float
    vacuum_radius: float  # along u, mm
    cleft: np.ndarray  # (6,): u, depth beneath the superior endplate, radius u, radius v, HU, half path; 0 when absent
    node: np.ndarray  # (6,): superior (1) or inferior (0), u, radius u, depth, HU of the rim, half path; 0 when absent
    cement: np.ndarray  # (4, 6): u, v, radius u, radius v, HU, half path; 0 when absent


@dataclass(frozen=True)
class Scene:
    """One crop: geometry, surroundings, exposure, truth."""

    patient: VirtualPatient
    level: str
    spine: Spine
    surroundings: Surroundings
    scanner: Scanner
    bodies: tuple  # Body: above, target, below
    context: tuple  # intact Body objects around the target: no fracture, no sign
    context_centre: tuple  # y, z of the intact target, mm
    signs: TargetSigns
    fracture: signs.Fracture
    box: np.ndarray  # y0, y1, z0, z1 of the crop, mm
    body_box: np.ndarray  # y0, y1, z0, z1 of the projected body, mm
    landmarks: np.ndarray  # (6, 2) y, z: superior anterior, mid, posterior; inferior anterior, mid, posterior


@dataclass(frozen=True)
class Person:
    """What all pictures of one virtual patient share."""

    spine: Spine
    intact: Alignment
    actual: Alignment
    fractures: dict
    surroundings: Surroundings
    key: tuple
    nuisance: float
    effect: float
    codes: dict  # level -> labels of paper 03
    primitives: dict  # level -> codes of the diseases that a film may show there
    extents: dict  # as in VirtualPatient
    worn: dict = dataclasses.field(default_factory=dict)  # what wear() has drawn

    def wear(self, k: int) -> signs.Wear:
        """Wear of body ``k``; every vertebra has its own stream."""
        if k not in self.worn:
            self.worn[k] = signs.draw_wear(
                generator(*self.key, BODIES[k], "wear"),
                age=self.spine.age,
                degeneration=self.spine.degeneration[k],
                nuisance=self.nuisance,
            )
        return self.worn[k]

    def disease(self, k: int, body: Body) -> Disease:
        """Node, cleft and cement of body ``k``, shown or not; the same in every picture."""
        level = BODIES[k]
        return draw_disease(
            generator(*self.key, level, "disease"),
            self.codes.get(level, frozenset()),
            depth=body.depth,
            width=body.width,
            height=float((body.over_u[:, 0] - body.over_u[:, 1]).min()),
            disc=max(self.spine.disc[k - 1], 2.0),
            effect=self.effect,
            nuisance=self.nuisance,
            lateral={code: where for (at, code), where in self.extents.items() if at == level},
        )


@functools.lru_cache(maxsize=64)
def _person(
    stem, patient_id, age, sex, t_score, fractured, morphology, diseases, primitives, extents, seed, effect, nuisance
) -> Person:
    key = (seed, stem, patient_id)
    spine = draw_spine(generator(*key, "anatomy"), age=age, sex=sex, t_score=t_score)
    fractures = {
        level: signs.draw_fracture(
            generator(*key, level, "fracture"),
            label=label,
            ha=spine.ha[BODIES.index(level)],
            hp=spine.hp[BODIES.index(level)],
            effect=effect,
        )
        for level, label in fractured
    }
    codes = dict(diseases)
    _collapse(fractures, codes, spine, key, effect)
    for level, grade in morphology:
        fractures[level] = _shaped(fractures[level], grade, generator(*key, level, "morphology"), effect)
    intact = align(spine, rims(spine, {}))
    around = draw_surroundings(generator(*key, "surroundings"), spine, intact, nuisance=nuisance)
    return Person(
        spine=spine,
        intact=intact,
        actual=align(spine, rims(spine, fractures)),
        fractures=fractures,
        surroundings=around,
        key=key,
        nuisance=nuisance,
        effect=effect,
        codes=codes,
        primitives=dict(primitives),
        extents=dict(extents),
    )


def _collapse(fractures, codes, spine, key, effect):
    """Deeper loss where a body may hold a cleft, and a fracture where cement or a cleft lies in a whole body.

    At effect 0 all broken bodies are treated alike; whether a body is broken is not scaled.
    """
    for level in LEVELS:
        found, k = codes.get(level, frozenset()), BODIES.index(level)
        if level not in fractures and found & {"KD", "PS"}:
            label = "acute" if "KD" in found else "chronic"  # a cleft comes in a recent fracture, cement in an old one
            rng = generator(*key, level, "fracture")
            fractures[level] = signs.draw_fracture(rng, label=label, ha=spine.ha[k], hp=spine.hp[k], effect=effect)
        if level in fractures:
            more, fracture = extra_loss(found, effect), fractures[level]
            loss = tuple(min(part * (1 + more / fracture.largest_loss), signs.LOSS_MAX) for part in fracture.loss)
            fractures[level] = dataclasses.replace(fracture, loss=loss)


def _shaped(fracture, morphology, rng, effect):
    """A fracture with the morphology that its ASTLOF score says: 0 nearly normal, 1 compression, 2 burst.

    At effect 1 every body shows its own morphology, at effect 0 one drawn without a look at it.
    """
    u, peak = rng.random(3), rng.random()
    at_random = int(np.searchsorted(np.cumsum(MORPHOLOGY)[:2], u[1], side="right"))
    shown = morphology if u[0] < effect else at_random
    if shown == 1:
        return fracture
    anterior, mid, posterior = fracture.loss
    if shown == 0:
        share = min(NORMAL_LOSS / fracture.largest_loss, 1.0)
        return dataclasses.replace(fracture, loss=(anterior * share, mid * share, posterior * share))
    return dataclasses.replace(
        fracture,
        loss=(anterior, max(mid, 0.8 * anterior), max(posterior, BURST_POSTERIOR * fracture.largest_loss)),
        flags=fracture.flags | {"posterior_wall": True},
        amplitude=fracture.amplitude
        | {
            "posterior_wall": BURST_WALL[0] + (BURST_WALL[1] - BURST_WALL[0]) * u[2],
            "fragment": BURST_PEAK[0] + (BURST_PEAK[1] - BURST_PEAK[0]) * peak,
        },
    )


def bulge(size: float, peak: float) -> np.ndarray:
    """Displacement of the posterior wall by ``size`` mm over the height, (NV,): round, or with an edge at ``peak``."""
    if not peak:
        return size * (1 - VN**2)
    above = VN - peak
    straight = np.clip(1 - np.abs(above) / np.where(above > 0, 1.05 - peak, 0.75), 0, 1)
    return size * 0.75 * (straight + np.sin(straight * np.pi / 2))  # the edge is broken bone, not a blade


def person_of(patient: VirtualPatient, *, nuisance: float = 1.0) -> Person:
    """Anatomy, fractures and surroundings of one virtual patient, the same for every picture of them."""
    return _person(
        patient.stem,
        patient.patient_id,
        patient.age,
        patient.sex,
        patient.t_score,
        tuple(patient.fractures.items()),
        tuple((level, parts.morphology) for level, parts in patient.astlof.items()),
        *_diseases(patient),
        patient.seed,
        patient.effect,
        nuisance,
    )


def _diseases(patient):
    """Labels by level, diseases by level that a film may show, and extents, as tuples.

    What a film may show must not depend on what there is. Paper 04 scores 2 points for gas or fluid in a vertebra, so
    every scored vertebra may show a cleft; paper 03 labels all vertebrae in view. Elsewhere a code is no label.
    """
    codes = {level: frozenset(found) for level, found in patient.diseases.items()}
    for level, parts in patient.astlof.items():
        codes[level] = codes.get(level, frozenset()) | ({"KD"} if parts.mri == CLEFT_POINTS else frozenset())
    if patient.astlof:
        primitives = dict.fromkeys(patient.astlof, ("KD",))
    elif patient.levels:
        primitives = dict.fromkeys(patient.levels, PRIMITIVES)
    else:
        primitives = {level: tuple(code for code in PRIMITIVES if code in found) for level, found in codes.items()}
    return tuple(codes.items()), tuple(primitives.items()), tuple(patient.extents.items())


def build(patient: VirtualPatient, level: str, *, nuisance: float = 1.0) -> Scene:
    """The scene of one vertebra of one virtual patient."""
    person = person_of(patient, nuisance=nuisance)
    key, spine, k = person.key, person.spine, BODIES.index(level)
    bodies = tuple(body_of(person, j, target=j == k) for j in (k - 1, k, k + 1))
    around = range(max(k - CONTEXT_REACH, 0), min(k + CONTEXT_REACH, len(BODIES) - 1) + 1)
    context = [intact_body(person, j) for j in around]
    landmarks, body_box = outline(bodies[1])
    return Scene(
        patient=patient,
        level=level,
        spine=spine,
        surroundings=person.surroundings,
        scanner=expose(patient.site, generator(*key, "exposure"), nuisance),
        bodies=bodies,
        context=tuple(context),
        context_centre=(person.intact.y[k], person.intact.z[k]),
        signs=target_signs(person, k, bodies[1]),
        fracture=person.fractures[level],
        box=_crop_box(body_box, generator(*key, level, "box")),
        body_box=body_box,
        landmarks=landmarks,
    )


def _losses(fracture, p):
    """Loss as a fraction of the height at p: the parabola through its posterior, mid and anterior value."""
    if fracture is None:
        return np.zeros_like(p)
    anterior, mid, posterior = fracture.loss
    return mid + (anterior - posterior) / 2 * p + ((anterior + posterior) / 2 - mid) * p**2


def _profile(spine, k, fracture, p):
    """Rims and concavities over the depth: superior rim, inferior rim, superior and inferior concavity (mm)."""
    p = np.clip(p, -1, 1)
    height = (spine.ha[k] + spine.hp[k]) / 2 + (spine.ha[k] - spine.hp[k]) / 2 * p
    middle = 1 - p**2
    lost = _losses(fracture, p) * height
    share = 0.5 if fracture is None else fracture.superior_share
    rim = 1 - CENTRAL_LOSS * middle
    superior = height / 2 - share * lost * rim
    inferior = -height / 2 + (1 - share) * lost * rim
    c_sup = spine.concavity_sup[k] * middle + share * lost * (1 - rim)
    c_inf = spine.concavity_inf[k] * middle + (1 - share) * lost * (1 - rim)
    return superior, inferior, c_sup, c_inf


def rims(spine: Spine, fractures: dict) -> np.ndarray:
    """Superior anterior, superior posterior, inferior anterior, inferior posterior rim above the centre, mm; (18, 4).

    At the corners the whole loss lowers the rim, so these are the ends of :func:`_profile`.
    """
    half = np.column_stack([spine.ha, spine.hp]) / 2
    corners = np.column_stack([half, -half])
    for level, fracture in fractures.items():
        k = BODIES.index(level)
        lost = np.array([fracture.loss[0], fracture.loss[2]]) * 2 * half[k]
        corners[k, :2] -= fracture.superior_share * lost
        corners[k, 2:] += (1 - fracture.superior_share) * lost
    return corners


def _rough(rng, sigma, depth):
    """Random line over the depth, smooth over ``sigma`` mm, SD 1 before its mean is taken away; shape (NU,)."""
    step = (P[1] - P[0]) * depth / 2
    reach = math.ceil(3 * sigma / step)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) * step / sigma) ** 2)
    line = np.convolve(rng.standard_normal(NU + 2 * reach), kernel / np.sqrt((kernel**2).sum()), mode="valid")
    return line - line.mean()


def texture_lattice(rng):
    """Projected trabeculae: vertical streaks and coarser patches."""
    streaks = STREAK_V @ rng.standard_normal((STREAK_V.shape[1], TEXTURE_SHAPE[1]))
    patches = PATCH_V @ rng.standard_normal((PATCH_V.shape[1], PATCH_U.shape[1])) @ PATCH_U.T
    return 0.8 * streaks + 0.6 * patches


def _frame(person: Person, k: int, alignment: Alignment) -> dict:
    """What a body keeps when it breaks, and its pose."""
    spine = person.spine
    central = person.intact.z[BODIES.index("L3")]  # the central ray is aimed at L3
    return {
        "y": alignment.y[k],
        "z": alignment.z[k],
        "tilt": alignment.tilt[k],
        "depth": spine.d[k],
        "width": spine.w[k],
        "exponent": EXPONENT,
        "slope": np.tan(np.radians(spine.roll[k])) + (alignment.z[k] - central) / SOURCE_OBJECT,
        "hp": spine.hp[k],
        "rotation": np.radians(spine.rotation[k]),
        "wall": spine.wall,
        "endplate": spine.endplate,
    }


def _over_u(superior, inferior, c_sup, c_inf, band):
    """Profiles over the depth as the renderer reads them; a crushed body keeps 2 mm between its rims."""
    gap, middle = np.maximum(superior - inferior, 2.0), (superior + inferior) / 2
    concavities = [np.minimum(c, 0.4 * gap) + LEAST_CONCAVITY for c in (c_sup, c_inf)]
    return np.column_stack([middle + gap / 2, middle - gap / 2, *concavities, band])


def _walls(spine, k):
    """Anterior and posterior wall (mm from u = 0) and factor of the width over the height, with the waist."""
    waist = spine.waist[k] * (1 - VN**2)
    return spine.d[k] / 2 * (1 - waist), spine.d[k] / 2 * (1 - 0.35 * waist), 1 - 0.8 * waist


def intact_body(person: Person, k: int) -> Body:
    """A smooth body before any fracture, at its intact place."""
    superior, inferior, c_sup, c_inf = _profile(person.spine, k, None, P)
    return Body(
        **_frame(person, k, person.intact),
        over_u=_over_u(superior - CORNER, inferior + CORNER, c_sup, c_inf, np.zeros(NU)),
        over_v=np.column_stack(_walls(person.spine, k)),
        hu=person.spine.hu[k],
        shell=1.0,
        pedicle=1.0,
        texture=None,
    )


def body_of(person: Person, k: int, *, target: bool, alignment: Alignment | None = None, textured: bool = True) -> Body:
    """A body as it is: fractured or not, worn, rough.

    Parameters
    ----------
    target : bool
        Its signs are drawn by :func:`target_signs`; otherwise its sclerosis is lumped into the cortex.
    alignment : Alignment, optional
        Pose of the spine; None means the actual one.
    textured : bool
        Draw the trabecular lattice, which pixels of a millimetre and more do not show.
    """
    spine, wear = person.spine, person.wear(k)
    fracture = person.fractures.get(BODIES[k])

    def amount(sign, amplitude):
        return fracture.amplitude[amplitude] if fracture and fracture.flags[sign] else 0.0

    rng = np.random.default_rng(wear.texture_seed)
    rough_sup, rough_inf, ragged = (_rough(rng, sigma, spine.d[k]) for sigma in (1.3, 1.3, 1.5))
    roughness = wear.roughness + amount("jagged", "jagged")
    roughness *= 0.4 if fracture and fracture.flags["remodelled"] else 1.0
    roughness = roughness * np.clip(1.2 - np.abs(P), 0, 1)
    superior, inferior, c_sup, c_inf = _profile(spine, k, fracture, P)
    superior = superior - CORNER + 0.5 * roughness * rough_sup
    inferior = inferior + CORNER + 0.3 * roughness * rough_inf
    inferior = inferior + wear.node * np.exp(-(((P / 2 - wear.node_u) * spine.d[k] / 3.0) ** 2))
    band = amount("band", "band_thickness") * np.clip(1 + 0.3 * ragged, 0.2, 2)
    over_u = _over_u(superior, inferior, c_sup, c_inf, band)

    anterior, posterior, width = _walls(spine, k)
    spur_sup = wear.spur_superior + amount("remodelled", "spur_superior")
    spur_inf = wear.spur_inferior + amount("remodelled", "spur_inferior")
    anterior = anterior + spur_sup * np.exp(-(((1 - VN) / SPUR_WIDTH) ** 2))
    anterior = anterior + spur_inf * np.exp(-(((1 + VN) / SPUR_WIDTH) ** 2))
    ramp = 1.5 / np.mean(over_u[:, 0] - over_u[:, 1]) * 2  # 1.5 mm in half heights
    for step, lower_end in ((amount("step", "step"), amount("step", "step_height")), (wear.step, 0.6)):
        anterior = anterior + step * np.clip((VN - lower_end) / ramp, 0, 1)
    posterior = posterior + bulge(amount("posterior_wall", "posterior_wall"), amount("posterior_wall", "fragment"))
    sclerosis = wear.sclerosis + amount("sclerosis", "sclerosis")
    return Body(
        **_frame(person, k, alignment or person.actual),
        over_u=over_u,
        over_v=np.column_stack([anterior, posterior, width]),
        hu=spine.hu[k] + (fracture.compaction if fracture else 0.0) + amount("oedema", "oedema_hu"),
        shell=1.0 if target else 1 + 0.35 * sclerosis,  # the target's sclerosis is drawn as bands
        pedicle=1 - amount("pedicle", "pedicle"),
        texture=texture_lattice(rng) if textured else None,
    )


def target_signs(person: Person, k: int, body: Body) -> TargetSigns:
    """What is added to body ``k``; an unbroken one has only the marks of wear."""
    spine, wear, fracture = person.spine, person.wear(k), person.fractures.get(BODIES[k], UNBROKEN)
    on, size = fracture.flags, fracture.amplitude
    top, bottom = body.over_u[NU // 2, 0], body.over_u[NU // 2, 1]
    height, depth = top - bottom, body.depth
    sclerosis = wear.sclerosis + on["sclerosis"] * size["sclerosis"]
    rng = np.random.default_rng(fracture.texture_seed)
    shift, turn, bend = rng.uniform(-0.18, 0.18, (2, 2)), rng.uniform(0.8, 1.2, 2), rng.uniform(-0.015, 0.015)
    lysis = np.zeros((2, 5))
    for j in range(2):
        diameter = size["lysis_size"] * depth * turn[j]
        lysis[j] = (
            size["lysis_u"] * depth + shift[j, 0] * depth,
            (top + bottom) / 2 + size["lysis_v"] * height + shift[j, 1] * height,
            diameter / 2,
            min(diameter / 2, 0.48 * height),
            diameter / 2 * on["lysis"],
        )
    angle = size["destruction_angle"]
    half_disc = max(spine.disc[k] / 2, 1.5)
    cleft, node, cement = _primitives(person, k, body)
    return TargetSigns(
        band_hu=on["band"] * size["band_hu"],
        sclerosis_sup=170 * sclerosis,
        sclerosis_inf=110 * sclerosis,
        line_hu=on["line"] * size["line_hu"],
        line_v=top - size["line_depth"] * height,
        line_slope=size["line_slope"],
        line_bend=bend,
        line_from=-depth / 6,
        swelling=on["swelling"] * size["swelling"],
        lysis=lysis,
        destruction=on["destruction"] * size["destruction"],
        destruction_u=np.cos(angle) * depth / 2,
        destruction_v=(top + bottom) / 2 + np.sin(angle) * height / 2,
        limbus_u=0.36 * depth,
        limbus_v=body.over_u[int(0.8 * NU), 0] - 4.0,
        limbus=12.0 * wear.limbus,
        vacuum=7.0 * wear.vacuum,
        vacuum_v=bottom - half_disc,
        vacuum_radius=0.32 * depth,
        cleft=cleft,
        node=node,
        cement=cement,
    )


def _primitives(person, k, body):
    """Cleft, node and cement of body ``k`` as a film shows them: their paths along the ray."""
    cleft, node, cement = np.zeros(6), np.zeros(6), np.zeros((4, 6))
    kinds = person.primitives.get(BODIES[k], ())
    if not kinds:
        return cleft, node, cement
    found = person.disease(k, body)
    if "KD" in kinds and found.cleft.shown:
        c = found.cleft
        cleft[:] = c.u, c.below, c.radius_u, c.radius_v, c.hu, c.radius_x
    if "SN" in kinds and found.node.depth:
        n = found.node
        node[:] = n.superior, n.u, n.radius_u, n.depth, n.rim, n.radius_x
    if "PS" in kinds and found.cement.shown:
        middle = body.over_u[NU // 2, :2].mean()
        cement[:] = found.cement.ellipsoids[:, [0, 1, 3, 4, 4, 5]]
        cement[:3, 1] += middle  # the leak lies in the disc
        cement[:, 2:4] = np.maximum(cement[:, 2:4], 1e-6)
        cement[:, 4] = found.cement.hu
    return cleft, node, cement


def outline(body: Body):
    """Six landmarks and the bounding box of the projected body (walls with spurs included)."""
    at = [int(np.argmin(np.abs(P - p))) for p in (1.0, 0.0, -1.0)]
    u = np.tile([body.depth / 2, 0.0, -body.depth / 2], 2)  # a reader leaves spurs out
    sup, inf = body.over_u[:, 0] - body.over_u[:, 2], body.over_u[:, 1] + body.over_u[:, 3]
    marks = np.column_stack([u, np.concatenate([sup[at], inf[at]])])
    # The box follows the rims, which project outside the depressed middle of the endplates.
    inside = np.abs(P) <= 1
    u_rim = P[inside] * body.depth / 2
    span = np.interp(VN, (-1, 1), (body.over_u[inside, 1].min(), body.over_u[inside, 0].max()))
    points = np.vstack(
        [
            np.column_stack([u_rim, body.over_u[inside, 0]]),
            np.column_stack([u_rim, body.over_u[inside, 1]]),
            np.column_stack([body.over_v[:, 0], span]),
            np.column_stack([-body.over_v[:, 1], span]),
        ]
    )
    c, s = np.cos(body.tilt), np.sin(body.tilt)

    def project(uv):
        return np.column_stack([body.y + uv[:, 0] * c - uv[:, 1] * s, body.z + uv[:, 0] * s + uv[:, 1] * c])

    outline = project(points)
    (y0, z0), (y1, z1) = outline.min(0), outline.max(0)
    return project(marks), np.array([y0, y1, z0, z1])


def _crop_box(body_box, rng):
    """The reader's box: 12 +- 6 % of the body's extent added on every side, independently."""
    y0, y1, z0, z1 = body_box
    margin = np.clip(MARGIN + MARGIN_SD * rng.standard_normal(4), 0.0, 0.30)
    return np.array(
        [
            y0 - margin[0] * (y1 - y0),
            y1 + margin[1] * (y1 - y0),
            z0 - margin[2] * (z1 - z0),
            z1 + margin[3] * (z1 - z0),
        ]
    )
