"""Say of a release what only its maker knows: purpose, source, licence, contact.

    fpu card --release=runs/NAME/release --card=card.yaml
    fpu card > card.yaml

Without flags it prints an empty card. A card that is filled in goes into README.md and privacy.yaml of the release,
in place of an earlier one. Images, generator and guarantee stay as they are, and the run may be repeated.
"""

import pathlib

from absl import flags

from fpu import InputError


def define_flags() -> None:
    flags.DEFINE_string("release", None, "folder: release/ of a run")
    flags.DEFINE_string("card", None, "YAML file: the card that this command prints, filled in")


def put(release: str, path: str) -> pathlib.Path:
    """Put the card at `path` into a release. InputError, leaving the release as it is, for bad input."""
    from fpu.release import card, scan  # not above: an empty card should not wait for jax

    said = card.read(pathlib.Path(path).expanduser())
    folder = pathlib.Path(release).expanduser()
    if not (folder / scan.GUARANTEE).is_file():
        raise InputError(f"--release={release}: no {scan.GUARANTEE} in it; name release/ of a run")
    scan.scan_card(folder)
    card.merge(folder, said)
    scan.scan_card(folder)
    return folder / card.README


def main(_: list[str]) -> None:
    """Do what the flags say."""
    release, path = flags.FLAGS.release, flags.FLAGS.card
    if (release is None) != (path is None):
        raise InputError("give both --release=FOLDER and --card=FILE, or neither for an empty card")
    if release is None:
        from fpu.release import card

        print(card.template(), end="")
    else:
        print(put(release, path))
