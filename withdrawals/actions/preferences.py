"""What a person chose to read in."""

from datetime import datetime

from django.db import transaction

from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import User


def choose_language(*, actor: User, language: str, time_zone: str, origin: Origin, now: datetime) -> User:
    """Keep the language and the zone that `actor` reads in from the next page on; empty is as the browser says.

    What is the same already makes no entry.
    """
    with transaction.atomic():
        person = User.objects.select_for_update(of=("self",), no_key=True).get(pk=actor.pk)
        before = {"language": person.language, "time_zone": person.time_zone}
        after = {"language": language, "time_zone": time_zone}
        if before != after:
            person.language, person.time_zone = language, time_zone
            person.save(update_fields=["language", "time_zone"])
            record([Fact("person.display_chosen", before={**before}, after={**after})], origin=origin, now=now)
    return person
