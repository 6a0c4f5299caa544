"""From records to what people read: a page per run, tables and figures of many, pictures of the images."""

from fpu.report.frame import markdown as table
from fpu.report.gallery import Extras, Picture, Section, comparison, files
from fpu.report.page import overview, page
from fpu.report.records import read
from fpu.report.samples import samples_png, thumbnails
from fpu.report.verdict import brief
