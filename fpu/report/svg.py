"""Interval bars as inline SVG."""

from markupsafe import Markup

from fpu.report.words import number

_LEFT, _WIDTH = 8, 204  # pixels of the axis


def bar(
    metric: dict,
    beside: dict | None,
    ends: tuple[float, float],
    chance: float | None = None,
    limit: float | None = None,
    scale: float = 1.0,
) -> Markup:
    """An interval with its value as a dot, a second one below it with a hollow diamond.

    Args:
      metric, beside: {"value", "low", "high", "n"}; one without a value is left out.
      ends: of the axis, printed below it; what lies outside is drawn at the end.
      chance: a dashed line. limit: what lies beyond is shaded as out of reach.
      scale: of the two printed numbers; 100 prints percent.
    """
    low, high = ends
    right = _LEFT + _WIDTH

    def at(v: float) -> float:
        return round(_LEFT + _WIDTH * (min(max(v, low), high) - low) / (high - low), 1)

    parts = [f'<path class="axis" d="M{_LEFT} 28H{right}M{_LEFT} 25v6M{right} 25v6"/>']
    if limit is not None and limit < high:
        width = right - at(limit)
        parts.append(f'<rect class="limit" x="{at(limit)}" y="2" width="{width:.1f}" height="26"/>')
    if chance is not None:
        parts.append(f'<path class="chance" d="M{at(chance)} 1V31"/>')
    for x, anchor, v in ((_LEFT, "start", low), (right, "end", high)):
        label = number(scale * v, 2) + (" %" if scale == 100 else "")
        parts.append(f'<text x="{x}" y="42" text-anchor="{anchor}">{label}</text>')
    for kind, m, y in (("ours", metric, 9 if beside else 14), ("beside", beside, 20)):
        if not m or m["value"] is None:
            continue
        if m.get("low") is not None and m.get("high") is not None:
            start, end, cap = at(m["low"]), at(m["high"]), y - 3
            path = f"M{start} {y}H{end}M{start} {cap}v6M{end} {cap}v6"
            parts.append(f'<path class="{kind}" d="{path}"/>')
        parts.append(_mark(kind, at(m["value"]), y))
    # Every part is made from numbers and names of this file: safe as it is.
    return Markup(
        f'<svg class="bar" viewBox="0 0 220 46" aria-hidden="true">{"".join(parts)}</svg>'
    )


def key(kind: str) -> Markup:
    """The sign of "ours" or "beside", for a legend."""
    line = f'<path class="{kind}" d="M2 5H30"/>{_mark(kind, 16, 5)}'
    return Markup(f'<svg viewBox="0 0 32 10">{line}</svg>')


def _mark(kind: str, x: float, y: float) -> str:
    if kind == "ours":
        return f'<circle class="ours" cx="{x}" cy="{y}" r="3.5"/>'
    return f'<path class="beside" d="M{x} {y - 4}l4 4l-4 4l-4 -4z"/>'
