"""Records to what people read: a page per run, tables and curves of many, pictures of the images."""

from fpu.report.document import overview, page
from fpu.report.figures import samples_png
from fpu.report.gallery import files
from fpu.report.records import read
from fpu.report.tables import markdown as table

__all__ = ["files", "overview", "page", "read", "samples_png", "table"]
