"""What the scripts of the pages say. They look each up by its English text; see `static/js/words.js`."""

import json
from functools import cache

from django.utils.translation import get_language, gettext, gettext_noop

SCRIPT_WORDS = (
    gettext_noop("Approve refund"),
    gettext_noop("Cancel item"),
    gettext_noop("Cancel when allowed"),
    gettext_noop("Confirm refund"),
    gettext_noop("Copied"),
    gettext_noop("Dismiss"),
    gettext_noop("Go to {place}"),
    gettext_noop("Keyboard shortcuts"),
    gettext_noop("Light or dark"),
    gettext_noop("Not up to date: not looked for {age}"),
    gettext_noop("Not up to date: the desk has not answered for {age}"),
    gettext_noop("Nothing selected"),
    gettext_noop("Show {what}"),
    gettext_noop("The desk answered with a fault ({status}). Load the page again to see what stands."),
    gettext_noop("The desk did not answer. Look at your connection; then load the page again to see what stands."),
    gettext_noop("This browser does not let the page copy. Mark the text instead."),
    gettext_noop("This cannot be done now."),
    gettext_noop("This is not there any more. Load the page again."),
    gettext_noop("Your role may not do this, or the page is too old. Load the page again; nothing was changed."),
    gettext_noop("Up to date, looked {age} ago"),
    gettext_noop("1 new row: show"),
    gettext_noop("and {count} more"),
    gettext_noop("in {span}"),
    gettext_noop("now"),
    gettext_noop("this row"),
    gettext_noop("{count} d"),
    gettext_noop("{count} h"),
    gettext_noop("{count} min"),
    gettext_noop("{count} new rows: show"),
    gettext_noop("{count} s"),
    gettext_noop("{count} selected"),
    gettext_noop("{name} can be cancelled now"),
    gettext_noop("{name}: {count} min until it can be cancelled"),
    gettext_noop("{span} ago"),
)


def script_words() -> str:
    """Those of them that are something else in the language of whoever looks, as JSON; empty where none is."""
    return _in(get_language())


@cache
def _in(_language: str | None) -> str:
    """The same in the language that is active."""
    said = {text: gettext(text) for text in SCRIPT_WORDS}
    other = {text: words for text, words in said.items() if words != text}
    return json.dumps(other, ensure_ascii=False) if other else ""
