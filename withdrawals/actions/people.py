"""What happens to the people of the desk."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from allauth.account.forms import default_token_generator
from allauth.account.utils import user_pk_to_url_str
from allauth.mfa.models import Authenticator
from allauth.socialaccount.models import SocialAccount
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.validators import validate_email
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext

from withdrawals.actions.audit import Fact, Origin, Value, record
from withdrawals.actions.taking_back import take_back_of
from withdrawals.models import AuditEntry, Role, User

REPEATS_WITHIN = timedelta(minutes=1)


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
            raise PersonRefused(gettext("{email} already has an account.").format(email=email))
        try:
            with transaction.atomic():
                person = User.objects.create_user(email, password)
        except IntegrityError as error:
            # Somebody else made them at the same instant.
            raise PersonRefused(gettext("{email} already has an account.").format(email=email)) from error
        person.groups.add(Group.objects.get(name=role.value))
        fact = Fact("person.created", after={"email": email, "role": role.value})
        record([fact], origin=origin, now=now)
    return person


def renew_access(*, email: str, forget_factors: bool, origin: Origin, now: datetime) -> str:
    """The path of a one-time link for somebody who is here already; second factors are forgotten where asked for.

    Raises PersonRefused where nobody has this e-mail, or their account is off.
    """
    with transaction.atomic():
        person = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
        if person is None:
            raise PersonRefused(f"Nobody with an open account has the e-mail {email}.")
        if forget_factors:
            _forget_factors(person)
        after: dict[str, Value] = {"email": person.email, "second_factor_reset": forget_factors}
        record([Fact("person.access_renewed", after=after)], origin=origin, now=now)
    return one_time_path(person)


def admit_by_company(*, provider: str, subject: str, email: str, origin: Origin, now: datetime) -> User:
    """Whom the company's provider speaks of: the open account of this e-mail, which the provider has verified.

    The first time binds the two: from then on `subject` opens this account and no other, and nobody else's subject
    opens it. Raises PersonRefused.
    """
    # Only what ASCII calls the same letter is one: a dotless i in somebody else's e-mail must not become ours.
    email = email.strip().lower() if email.isascii() else email.strip()
    with transaction.atomic():
        person = User.objects.select_for_update(no_key=True).filter(email=email, is_active=True).first()
        if person is None:
            raise PersonRefused("Nobody with an open account has this e-mail.")
        bound, is_new = SocialAccount.objects.get_or_create(provider=provider, uid=subject, defaults={"user": person})
        if bound.user_id != person.pk or SocialAccount.objects.filter(user=person).exclude(pk=bound.pk).exists():
            raise PersonRefused("This account, or this subject, is bound to another one.")
        if is_new:
            # By the person themself: nobody else is here.
            record([Fact("person.company_bound", after=_named(person))], origin=replace(origin, actor=person), now=now)
    return person


def change_role(*, person_id: int, role: Role, actor: User, origin: Origin, now: datetime) -> User:
    """Give somebody `role` in place of those they had. Their rights change with their next request.

    Raises PersonRefused for oneself, for the last admin, and where the role is theirs already.
    """
    with transaction.atomic():
        person = _locked(person_id, actor=actor, deed=gettext("change your own role"))
        before = ", ".join(person.role_names)
        if before == role.value:
            raise PersonRefused(gettext("{email} is {role} already.").format(email=person.email, role=role.value))
        if role != Role.ADMIN:
            _keep_an_admin(person)
        person.groups.set([Group.objects.get(name=role.value)])
        fact = Fact("person.role_changed", before=_named(person, role=before), after=_named(person, role=role.value))
        record([fact], origin=origin, now=now)
    return person


def switch_off(*, person_id: int, actor: User, origin: Origin, now: datetime) -> User:
    """Close somebody's account: every session ends, no log-in and no link opens it. History keeps its subjects.

    What they asked for or armed and what has not left is taken back: nothing leaves in the name of a closed account.

    Raises PersonRefused for oneself, for the last admin, and where it is closed already.
    """
    with transaction.atomic():
        person = _locked(person_id, actor=actor, deed=gettext("switch yourself off"))
        if not person.is_active:
            raise PersonRefused(gettext("{email} is switched off already.").format(email=person.email))
        _keep_an_admin(person)
        person.is_active = False
        person.session_epoch += 1
        # A link that was made and not used yet is void for ever, also after switching on again.
        person.set_unusable_password()
        person.save(update_fields=["is_active", "session_epoch", "password"])
        taken_back = take_back_of(person, now=now)
        record([_switched(person, taken_back=len(taken_back)), *taken_back], origin=origin, now=now)
    return person


def switch_on(*, person_id: int, actor: User, origin: Origin, now: datetime) -> User:
    """Open a closed account again; its old password is gone, so a one-time link must follow.

    Raises PersonRefused where it is open already.
    """
    with transaction.atomic():
        person = _locked(person_id, actor=actor, deed=gettext("switch yourself on"))
        if person.is_active:
            raise PersonRefused(gettext("{email} is switched on already.").format(email=person.email))
        person.is_active = True
        person.save(update_fields=["is_active"])
        record([_switched(person)], origin=origin, now=now)
    return person


def end_sessions(*, person_id: int, actor: User, origin: Origin, now: datetime) -> User:
    """End every session of somebody at its next request, also one's own."""
    with transaction.atomic():
        person = User.objects.select_for_update(no_key=True).get(pk=person_id)
        _end_sessions(person)
        record([Fact("person.sessions_ended", after=_named(person))], origin=origin, now=now)
    return person


def reset_factor(*, person_id: int, actor: User, origin: Origin, now: datetime) -> User:
    """Forget somebody's second factors and recovery codes, and end their sessions; the desk asks for new ones first.

    Raises PersonRefused for oneself: a stolen session must not be able to take its owner's factor away.
    """
    with transaction.atomic():
        person = _locked(person_id, actor=actor, deed=gettext("reset your own second factor here"))
        _forget_factors(person)
        record([Fact("person.factor_reset", after=_named(person))], origin=origin, now=now)
    return person


def _locked(person_id: int, *, actor: User, deed: str) -> User:
    """The person, with every admin locked: two admins who demote each other at one instant must take turns."""
    if person_id == actor.pk:
        raise PersonRefused(gettext("You cannot {deed}; another admin can.").format(deed=deed))
    involved = User.objects.filter(Q(groups__name=Role.ADMIN) | Q(pk=person_id)).order_by("pk")
    list(involved.select_for_update(no_key=True, of=("self",)))
    if not User.objects.admins().filter(pk=actor.pk).exists():
        raise PersonRefused(gettext("You are no admin any more; nothing was changed."))
    return User.objects.get(pk=person_id)


def _keep_an_admin(person: User) -> None:
    if not User.objects.admins().exclude(pk=person.pk).exists():
        raise PersonRefused(
            gettext("{email} is the last admin; make somebody else one first.").format(email=person.email)
        )


def _forget_factors(person: User) -> None:
    """Also whom the company's provider calls by this account: the next one it names by e-mail is bound anew."""
    Authenticator.objects.filter(user=person).delete()
    SocialAccount.objects.filter(user=person).delete()
    _end_sessions(person)


def _end_sessions(person: User) -> None:
    person.session_epoch += 1
    person.save(update_fields=["session_epoch"])


def _named(person: User, **more: Value) -> dict[str, Value]:
    return {"email": person.email, **more}


def _switched(person: User, **more: Value) -> Fact:
    action = "person.switched_on" if person.is_active else "person.switched_off"
    return Fact(
        action,
        before=_named(person, is_active=not person.is_active),
        after=_named(person, is_active=person.is_active, **more),
    )


def note_password_changed(*, person: User, by_link: bool, origin: Origin, now: datetime) -> None:
    """Write down that somebody has a new password of their own making; never what it is."""
    with transaction.atomic():
        fact = Fact("person.password_changed", after=_named(person, by_one_time_link=by_link))
        record([fact], origin=origin, now=now)


def note_factor_changed(*, person: User, factor: str, added: bool, origin: Origin, now: datetime) -> None:
    """Somebody set up or gave up a second factor: every session ends, and the log tells, never what the factor is.

    Whose session did it logs in anew or keeps it by `update_session_auth_hash`; that is for the door to say.
    """
    action = "person.factor_added" if added else "person.factor_removed"
    with transaction.atomic():
        User.objects.filter(pk=person.pk).update(session_epoch=F("session_epoch") + 1)
        after: dict[str, Value] = {"email": person.email, "factor": factor}
        record([Fact(action, after=after)], origin=origin, now=now)


def note_logged_in(*, person: User, methods: Sequence[str], origin: Origin, now: datetime) -> None:
    """Write down that somebody came in, and by what: a password, a code, a passkey."""
    with transaction.atomic():
        after: dict[str, Value] = {"email": person.email, "by": ", ".join(methods)}
        record([Fact("person.logged_in", after=after)], origin=origin, now=now)


def note_access_denied(*, permission: str, method: str, path: str, origin: Origin, now: datetime) -> None:
    """Write down that somebody wanted what their role does not allow; "POST" each time, reading once a minute.

    A page that was open when its reader lost their role asks again every few seconds.
    """
    after: dict[str, Value] = {"permission": permission, "method": method, "path": path[:200]}
    if method in ("GET", "HEAD"):
        lately = AuditEntry.objects.filter(actor=origin.actor).order_by("-number").values_list("action", "at", "after")
        for action, at, known in lately[:20]:
            repeats = known.get("permission") == permission and known.get("method") in ("GET", "HEAD")
            if action == "access.denied" and now - at < REPEATS_WITHIN and repeats:
                return
    with transaction.atomic():
        record([Fact("access.denied", after=after)], origin=origin, now=now)


def one_time_path(person: User) -> str:
    """The path of a page where this person, once, sets a password. It is void after the next log-in."""
    key = f"{user_pk_to_url_str(person)}-{default_token_generator.make_token(person)}"
    uid, token = key.split("-", 1)
    return reverse("account_reset_password_from_key", kwargs={"uidb36": uid, "key": token})
