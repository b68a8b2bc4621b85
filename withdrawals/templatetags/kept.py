"""`{% kept name=value %}…{% endkept %}`: a part of a page that is made from these values alone, and kept as text.

What stands in it sees nothing else of the page, so it cannot be another person's; language and values find it again.
The form's token is filled in each time. `{% querystring %}` alone reads the request past them: where it stands, the
address is one of the values.
"""

import re
from datetime import UTC, datetime
from typing import Any

from django import template
from django.template.base import FilterExpression, NodeList, Parser, Token, token_kwargs
from django.template.context import Context
from django.utils.safestring import SafeString
from django.utils.translation import get_language

register = template.Library()


class Slot:
    """Names of what is filled in later. None can come from outside: there a `<` is always escaped."""

    HERE = SafeString("<~here~>")
    BACK = SafeString("<~back~>")
    TOKEN = SafeString("<~token~>")
    NOW = SafeString("<~now~>")
    TIME = re.compile(r"<~time ([^~]+)~>")
    ANY = re.compile(r"(<~[^~]+~>)")

    @staticmethod
    def time(moment: datetime) -> SafeString:
        """A place for how long ago it was."""
        return SafeString(f"<~time {moment.astimezone(UTC).isoformat()}~>")

    @staticmethod
    def split(text: str) -> tuple[str | datetime, ...]:
        """Text between slots, and slots; those of a time as that time."""
        parts: list[str | datetime] = [*Slot.ANY.split(text)]
        # Each second one is a slot.
        for number in range(1, len(parts), 2):
            if time := Slot.TIME.fullmatch(str(parts[number])):
                parts[number] = datetime.fromisoformat(time[1])
        return tuple(parts)


# Of one part; in practice a few for each language.
KEPT = 200


class Kept(template.Node):
    """One part, and the texts that it has been."""

    def __init__(self, nodelist: NodeList, given: dict[str, FilterExpression]) -> None:
        self.nodelist, self.given = nodelist, given
        self.texts: dict[Any, SafeString] = {}

    def render(self, context: Context) -> SafeString:
        """The text for these values, which can be hashed."""
        values = {name: each.resolve(context) for name, each in self.given.items()}
        key = (get_language(), *values.values())
        text = self.texts.get(key)
        if text is None:
            text = self.nodelist.render(context.new({**values, "csrf_token": Slot.TOKEN}))
            if len(self.texts) >= KEPT:
                self.texts.clear()
            self.texts[key] = text
        return SafeString(text.replace(Slot.TOKEN, str(context.get("csrf_token", "")))) if Slot.TOKEN in text else text


@register.tag
def kept(parser: Parser, token: Token) -> Kept:
    """Reads the tag."""
    given = token_kwargs(token.split_contents()[1:], parser)
    nodelist = parser.parse(("endkept",))
    parser.delete_first_token()
    return Kept(nodelist, given)
