"""What happens to the people of the desk."""

from datetime import datetime

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse

from withdrawals.actions.audit import Fact, Origin, record
from withdrawals.models import Role, User


class PersonRefused(Exception):
    """Nobody was made; the sentence says why."""


def create_person(*, email: str, role: Role, password: str | None, origin: Origin, now: datetime) -> User:
    """A new person with one role. Without a password only a one-time link opens the account.

    Raises PersonRefused for an e-mail that is taken or none, or a password that is too weak.
    """
    email = email.strip().lower()
    try:
        validate_email(email)
        if password is not None:
            validate_password(password)
    except ValidationError as error:
        raise PersonRefused(" ".join(error.messages)) from error
    with transaction.atomic():
        if User.objects.filter(email__iexact=email).exists():
            raise PersonRefused(f"{email} already has an account.")
        person = User.objects.create_user(email, password)
        person.groups.add(Group.objects.get(name=role.value))
        fact = Fact("person.created", after={"email": email, "role": role.value})
        record([fact], origin=origin, now=now)
    return person


def one_time_path(person: User) -> str:
    """The path of a page where this person, once, sets a password. It is void after the next log-in."""
    key = f"{user_pk_to_url_str(person)}-{default_token_generator.make_token(person)}"
    uid, token = key.split("-", 1)
    return reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": token})
