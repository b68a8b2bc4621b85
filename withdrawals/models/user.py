"""The people of the desk."""

from typing import ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.models import AbstractUser, UserManager
from django.db import models
from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Lower
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy, gettext_noop


class Role(models.TextChoices):
    """What a person may do; each is a group of the same name, made by a migration."""

    AGENT = "agent", gettext_lazy("Agent")
    SUPERVISOR = "supervisor", gettext_lazy("Supervisor")
    AUDITOR = "auditor", gettext_lazy("Auditor")
    ADMIN = "admin", gettext_lazy("Admin")


PERMISSIONS = [
    ("see_desk", gettext_noop("May see trades, items, cancellations, refunds and deliveries")),
    ("cancel_item", gettext_noop("May ask AssetPay to cancel an item, now or when allowed")),
    ("cancel_in_bulk", gettext_noop("May ask AssetPay to cancel many items at once, and pause or stop a batch")),
    ("settle_cancellation", gettext_noop("May settle a cancellation whose outcome nobody knows")),
    ("check_trade", gettext_noop("May ask AssetPay for a trade's state now")),
    ("confirm_refund", gettext_noop("May confirm a refund that is due, up to the limit")),
    ("settle_refund", gettext_noop("May decide a refund that is in review, and compensate a mistaken confirmation")),
    ("approve_refund", gettext_noop("May approve, as the second person, a refund above the limit")),
    ("waive_refund", gettext_noop("May waive a refund that is not owed")),
    ("see_audit", gettext_noop("May read the audit log")),
    ("read_document", gettext_noop("May read raw documents")),
    ("export_rows", gettext_noop("May export lists, case files and the audit log")),
    ("replay_delivery", gettext_noop("May replay stored callbacks")),
    ("manage_people", gettext_noop("May manage people and their roles")),
]
# The permissions of each role, by codename of this app. The migration writes them into the groups.
ROLE_PERMISSIONS: dict[Role, tuple[str, ...]] = {
    Role.AGENT: ("see_desk", "cancel_item", "cancel_in_bulk", "confirm_refund", "check_trade"),
    Role.SUPERVISOR: (
        "see_desk",
        "cancel_item",
        "cancel_in_bulk",
        "settle_cancellation",
        "confirm_refund",
        "check_trade",
        "settle_refund",
        "approve_refund",
        "waive_refund",
        "see_audit",
        "read_document",
        "export_rows",
        "replay_delivery",
    ),
    Role.AUDITOR: ("see_desk", "see_audit", "read_document", "export_rows"),
    Role.ADMIN: ("see_desk", "see_audit", "read_document", "export_rows", "replay_delivery", "manage_people"),
}


class EmailUserManager(UserManager["User"]):
    """Makes people by e-mail; there are no user names."""

    def create_user(  # type: ignore[override] # the parent's first argument is the user name that we do not have
        self, email: str, password: str | None = None, **fields: object
    ) -> "User":
        """A new person; the e-mail is kept in lower case. Without a password nobody can log in yet."""
        person: User = self.model(email=email.strip().lower(), **fields)
        if password is None:
            person.set_unusable_password()
        else:
            person.set_password(password)
        person.save(using=self._db)
        return person

    def create_superuser(  # type: ignore[override] # as above
        self, email: str, password: str | None = None, **fields: object
    ) -> "User":
        """A person who may look into the Django admin. What they may do at the desk, a role says."""
        return self.create_user(email, password, is_staff=True, is_superuser=True, **fields)

    def people(self) -> "QuerySet[User]":
        """Everybody, by e-mail, with their roles and how many second factors they have."""
        factors = Count("authenticator", filter=~Q(authenticator__type="recovery_codes"))
        return self.annotate(factors=factors).prefetch_related("groups").order_by("email")

    def admins(self) -> "QuerySet[User]":
        """Who can manage people now."""
        return self.filter(is_active=True, groups__name=Role.ADMIN)


class User(AbstractUser):
    """One person, known by e-mail. In actions the acting person is `actor`."""

    username = None  # type: ignore[assignment] # an e-mail is enough to know somebody by
    email = models.EmailField("e-mail", unique=True)
    # Part of every session's signature: one more, and all sessions of this person have ended.
    session_epoch = models.PositiveIntegerField(default=0)
    # What they chose to read in; empty is as their browser asks for, and UTC.
    language = models.CharField(max_length=16, blank=True, default="", db_default="")
    time_zone = models.CharField(max_length=64, blank=True, default="", db_default="")

    USERNAME_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = []

    objects: ClassVar[EmailUserManager] = EmailUserManager()

    class Meta:
        constraints = [models.UniqueConstraint(Lower("email"), name="one_person_per_email")]
        permissions = tuple(PERMISSIONS)

    def __str__(self) -> str:
        return self.email

    def may(self, codename: str) -> bool:
        """Whether a role of this person grants `codename` (a permission of this app).

        Django grants a superuser everything; the desk goes by roles alone, also for whoever may look into the admin.
        """
        if self.is_superuser:
            return self.is_active and self.groups.filter(permissions__codename=codename).exists()
        return self.has_perm(f"withdrawals.{codename}")

    @property
    def zone(self) -> ZoneInfo | None:
        """The time zone that they chose, if it is one still."""
        try:
            return ZoneInfo(self.time_zone) if self.time_zone else None
        except (ZoneInfoNotFoundError, ValueError, OSError):
            return None

    def get_session_auth_hash(self) -> str:
        """What a session must carry to stay this person's: void after a new password, and after `end_sessions`."""
        return f"{super().get_session_auth_hash()}:{self.session_epoch}"

    @cached_property
    def role_names(self) -> list[str]:
        """The roles of this person when they were first asked for; `people()` and `read_person` have them at hand."""
        return sorted(group.name for group in self.groups.all())
