"""Words that people read, each in the language of whoever reads them."""

from django.utils.functional import Promise
from django.utils.translation import override

# What is kept, in the tables, the audit log and files for machines, is kept in the words of this one language.
KEPT_LANGUAGE = "en"
# Text, or a text that finds its language when it is shown.
type Words = str | Promise


def as_kept() -> override:
    """Within it every sentence is made in the language that is kept, whoever is at the desk."""
    return override(KEPT_LANGUAGE)
