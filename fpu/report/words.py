"""Numbers as people write them, the same in tables, sentences and pictures."""

import math
import pathlib
from collections.abc import Sequence

from fpu.baselines import OF_PRIOR
from fpu.dp.rounding import rounded_up
from fpu.models import MODELS


def number(x: float | int | str | None, digits: int = 3) -> str:
    """`x` to `digits` significant digits: 0.0123, 1,234, 2e-5; None is a dash and 'inf' is ∞."""
    if x is None:
        return "–"
    x = float(x)
    if math.isinf(x):
        return "∞" if x > 0 else "-∞"
    if x == 0 or math.isnan(x):
        return "0" if x == 0 else "not a number"
    if 1e-3 <= abs(x) < 1e15:
        places = max(0, digits - 1 - math.floor(math.log10(abs(x))))
        text, exponent = f"{x:,.{places}f}", ""
    else:
        text, power = f"{x:.{digits - 1}e}".split("e")
        exponent = f"e{int(power)}"
    return (text.rstrip("0").rstrip(".") if "." in text else text) + exponent


def spent(x: float | int | str, digits: int = 3) -> str:
    """`number` of an eps or a delta that was spent: rounded up, never down."""
    return number(rounded_up(float(x), digits), digits)


def decimals(m: dict, scale: float = 1.0) -> int:
    """Decimals that show the half-width of a metric's interval to two digits, 0 to 5."""
    low, high = m.get("low"), m.get("high")
    half = scale * (high - low) / 2 if low is not None and high is not None else 0.0
    if not (half > 0 and math.isfinite(half)):
        return 1 if scale == 100 else 3
    return min(5, max(0, math.ceil(1 - math.log10(half))))


def value(m: dict, scale: float = 1.0) -> str:
    """A metric's value, to the digits that its interval allows; a dash where it has none."""
    return "–" if m["value"] is None else f"{scale * m['value']:,.{decimals(m, scale)}f}"


def interval(m: dict, scale: float = 1.0) -> str:
    """A metric's 95 % interval as '[low, high]'; empty where it has none."""
    if m["value"] is None or m.get("low") is None or m.get("high") is None:
        return ""
    places = decimals(m, scale)
    return f"[{scale * m['low']:,.{places}f}, {scale * m['high']:,.{places}f}]"


def another(m: dict, scale: float = 1.0) -> str:
    """'[61, 88]': where another run at the same settings would lie; empty where that is not known."""
    if m["value"] is None or not m.get("another"):
        return ""
    low, high = m["another"]
    return interval(m | {"low": low, "high": high}, scale)


def spoken(m: dict, scale: float = 1.0) -> str:
    """'82.0 % [78.2, 85.8]' for a sentence: value and interval, with spaces that do not break."""
    sign = " %" if scale == 100 else ""
    text = f"{value(m, scale)}{sign} {interval(m, scale)}".rstrip()
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def plural(count: int, one: str, many: str | None = None) -> str:
    """'1 image', '1,200 images'."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def model_name(config: dict) -> str:
    """'DDPM', 'VAE (paper preset)', 'GAN on draws' (all of the budget in the warm-up), 'copycat'; with a prior
    'DDPM on draws of glyphs', 'VAE after a warm-up on glyphs', 'prior glyphs'.
    """
    model, prior = str(config["model"]), prior_name(config)
    model = model.upper() if model in MODELS else model
    share = config.get("warmup_share") or 0
    if share == 1:
        model += " on draws" + (f" of {prior}" if prior else "")
    elif share:
        model += " after a warm-up" + (f" on {prior}" if prior else "")
    elif prior:
        model += f" {prior}"
    preset = config.get("preset") or "corrected"
    proof = {"unknown": "ε unknown", "claimed": "ε claimed"}.get(str(config.get("proof")))
    said = [f"{preset} preset" if preset != "corrected" else None, proof, config.get("differs")]
    words = ", ".join(map(str, filter(None, said)))
    return f"{model} ({words})" if words else model


def prior_name(config: dict) -> str:
    """The prior of a run: 'glyphs', 'images:letters' for images:path/to/letters.npz; '' where it has none."""
    name = str(config.get("prior") or "none")
    kind, colon, what = name.partition(":")
    if name == "none":
        return ""
    return f"{kind}:{pathlib.PurePath(what).stem}" if colon and kind == "images" else name


def lineage(config: dict) -> str:
    """What taught what: 'release of class means in the space of glyphs -> 10,000 draws -> DDPM, 1,000 steps; no
    DP-SGD', and where images are made from codes of draws, that they are;
    '' where no model was taught by draws, and none are handed out.
    """
    model, share = str(config["model"]), config.get("warmup_share") or 0
    if model in ("gaussian", *OF_PRIOR):
        return f"{released(config)} -> draws"
    if not share:
        return ""
    draws = f"{config['draws']:,} draws" if config.get("draws") else "draws"
    steps = f", {config['draw_steps']:,} steps" if config.get("draw_steps") else ""
    dpsgd = f"then {config['steps']:,} steps of DP-SGD" if config.get("steps") else "no DP-SGD"
    coded = "; each image made from the code of a draw" if config.get("code") else ""
    return f"{released(config)} -> {draws} -> {model.upper()}{steps}; {dpsgd}{coded}"


def released(config: dict) -> str:
    """The one release of a run in words: what its sums are of."""
    prior, several = prior_name(config), config.get("components") or 1
    if not prior:
        return "release of class means and covariances"
    if config["model"] == "pe":
        return f"release of votes for {several} images of {prior} a class, round after round"
    if config["model"] == "merf_prior":
        return f"release of class means of random features in the space of {prior}"
    sums = "class means" if several == 1 else f"a mixture of {several} normals a class"
    bright = ", and of how bright members are," if config.get("brightness") else ""
    return f"release of {sums}{bright} in the space of {prior}"


def shape_name(shape: list[int]) -> str:
    """'28×28 grey', '64×64 RGB'."""
    height, width, channels = shape
    return f"{height}×{width} {'grey' if channels == 1 else 'RGB'}"


def grid(header: Sequence[str], rows: Sequence[Sequence[str]], align: str = "---:") -> str:
    """A markdown table; `align` is that of all columns but the first. A | in a cell is escaped."""
    lines = [header, ["---", *[align] * (len(header) - 1)], *rows]
    escaped = ([cell.replace("|", r"\|") for cell in line] for line in lines)
    return "\n".join(f"| {' | '.join(line)} |" for line in escaped)
