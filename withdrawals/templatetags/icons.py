"""The tag of the library `lucide`, which the settings put in its place: it draws each icon anew, this one once."""

from functools import cache

from django import template
from lucide.templatetags.lucide import lucide as draw

register = template.Library()
# There are as many as the templates name.
register.simple_tag(cache(draw), name="lucide")
