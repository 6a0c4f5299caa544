"""Whether the images repeat the members, look like real ones, and show their variety."""

from fpu.report import records, schema
from fpu.report.verdict.finding import CLOSE, Finding, beside, high, low, reason
from fpu.report.words import plural, spoken


def fidelity(record: dict) -> Finding:
    """Copies first, since they improve all other numbers; then looks, then how much of the variety is there."""
    about = "Fidelity"
    ours, real = records.pair(record, "fidelity", "real", "near_copies")
    if records.known(ours, real) and low(ours) > max(high(real), 0.01):
        text = (
            f"{spoken(ours, 100)} of the synthetic images are near copies of members."
            f" Of held-out real images, {spoken(real, 100)} are."
        )
        return Finding("bad", about, "It repeats its training images", text)
    ours, real = records.pair(record, "fidelity", "real", "coverage")
    if not records.known(ours, real):
        count = plural(record["data"].get("n_test") or 0, "test image")
        return Finding("plain", about, f"Cannot tell from {count}", reason(ours, real))
    text = (
        f"{spoken(ours, 100)} of the real test images have a synthetic image close by{beside(ours)}."
        f" {spoken(real, 100)} of them have a held-out real image close by."
    )
    doubt = f"Cannot tell from {plural(ours.get('n') or 0, 'test image')}"
    if schema.at(record, "fidelity", "features", "network") == "random":
        text += " What is close is said by an untrained network, to which even noise may look like the real images."
        return Finding("plain", about, doubt, text)
    inside, usual = records.pair(record, "fidelity", "real", "precision")
    if records.known(inside, usual) and high(inside) < usual["value"] / 2:
        text += f" Of the synthetic images, {spoken(inside, 100)} lie among real ones."
        return Finding("bad", about, "Few look like real images", text)
    if low(ours) >= real["value"] - CLOSE:
        return Finding("good", about, "As varied as real images", text)
    if high(ours) >= low(real):
        text += " It may be as varied as they are, or far less."
        return Finding("plain", about, doubt, text)
    share = ours["value"] / real["value"]
    title = f"Shows {100 * share:.0f} % of the variety of real images"
    return Finding("fair" if share >= 0.5 else "bad", about, title, text)
