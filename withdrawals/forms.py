"""Checks of what a person typed. Nothing is saved here."""

from decimal import Decimal
from typing import Any
from zoneinfo import available_timezones

from django import forms
from django.conf import settings
from django.utils.translation import gettext, gettext_lazy, gettext_noop

from withdrawals.models import Role, SavedList, SettledAs
from withdrawals.models.note import LONGEST_NOTE

# Kept in these words; each is shown in the words of whoever looks.
REASONS = (
    gettext_noop("Customer asked"),
    gettext_noop("Delivery takes too long"),
    gettext_noop("Wrong item"),
    gettext_noop("Trade link problem"),
    gettext_noop("Suspected fraud"),
)
OTHER = gettext_noop("Other")
GREATEST_NUMBER = 2**31 - 1
# A whole message of a customer with some ids in it.
LONGEST_SEARCH = 2_000
GREATEST_KEY = 2**63 - 1


class ReasonForm(forms.Form):
    """Why something is cancelled. The list is short; any other words of up to 200 characters do as well."""

    reason = forms.CharField(
        max_length=200,
        label=gettext_lazy("Reason"),
        # Nothing is chosen beforehand: a reason that nobody gave would stand in the audit log.
        widget=forms.Select(
            choices=[("", gettext_lazy("Choose…")), *((reason, gettext_lazy(reason)) for reason in (*REASONS, OTHER))]
        ),
    )
    note = forms.CharField(
        max_length=2_000,
        required=False,
        label=gettext_lazy("Note"),
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Staff only."),
    )

    def clean(self) -> dict[str, Any] | None:
        """ "Other" says nothing by itself, so it needs a note."""
        cleaned = super().clean()
        if self.cleaned_data.get("reason") == OTHER and not self.cleaned_data.get("note"):
            self.add_error("note", gettext("“Other” needs a note: what is the reason?"))
        return cleaned


class CancelForm(ReasonForm):
    """The same for one item, or a whole trade; `number` is the request that the form was made for."""

    number = forms.IntegerField(min_value=1, max_value=GREATEST_NUMBER, required=False, widget=forms.HiddenInput)


class SettleForm(forms.Form):
    """What a person says became of a cancellation, and how they know. "Done" is AssetPay's word alone."""

    outcome = forms.ChoiceField(
        choices=[(SettledAs.NOT_DONE, gettext_lazy("Not done: AssetPay has not cancelled it"))],
        widget=forms.HiddenInput,
    )
    # What was on the screen: a person decides on that and on nothing else.
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)
    note = forms.CharField(
        max_length=2_000,
        widget=forms.Textarea(attrs={"rows": 3}),
        label=gettext_lazy("How do you know?"),
        help_text=gettext_lazy("For example whom you asked at AssetPay, and what they said. Staff only."),
    )


class ChoiceForm(forms.Form):
    """The ticked rows, by our own numbers and in the order shown."""

    item = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        # Which of them exist is for the action to find; here they only have to be numbers, each once.
        numbers = [text for text in data.getlist("item") if text.isascii() and text.isdigit() and len(text) < 19]
        self.fields["item"].choices = [(text, text) for text in numbers]  # type: ignore[attr-defined] # a choice field

    def clean_item(self) -> list[int]:
        """In their order."""
        return list(dict.fromkeys(self.cleaned_data["item"]))


class ConfirmRefundForm(forms.Form):
    """The proof that the customer got the money, and what the person saw when deciding."""

    reference = forms.CharField(
        max_length=200,
        label=gettext_lazy("Reference"),
        help_text=gettext_lazy("The payout's id in your payment system, so that an auditor can find it."),
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)


class PresenceForm(forms.Form):
    """Where somebody is: at one item, or at one trade."""

    item = forms.IntegerField(min_value=1, max_value=GREATEST_KEY, required=False)
    trade = forms.IntegerField(min_value=1, max_value=GREATEST_KEY, required=False)
    gone = forms.BooleanField(required=False)

    def clean(self) -> dict[str, Any] | None:
        """Exactly one of the two."""
        cleaned = super().clean()
        if (self.cleaned_data.get("item") is None) == (self.cleaned_data.get("trade") is None):
            raise forms.ValidationError("Either an item or a trade.")
        return cleaned


class SeenForm(forms.Form):
    """What the person saw when deciding, as a hash."""

    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)


class DecisionForm(SeenForm):
    """Why it is decided so; the words stay in the log."""

    reason = forms.CharField(
        max_length=500,
        label=gettext_lazy("Reason"),
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=gettext_lazy("Staff only. It stays in the audit log."),
    )


class AmountForm(DecisionForm):
    """How much is owed, in USD, and why."""

    amount = forms.DecimalField(
        min_value=Decimal("0.01"),
        max_value=Decimal("1000000"),
        decimal_places=4,
        label=gettext_lazy("Amount (USD)"),
        widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
    )
    field_order = ("amount", "reason", "seen")


class SearchForm(forms.Form):
    """What every list takes: a text to search for, and the place in the list."""

    q = forms.CharField(max_length=LONGEST_SEARCH, required=False)
    cursor = forms.CharField(max_length=60, required=False)
    batch = forms.IntegerField(min_value=1, max_value=GREATEST_KEY, required=False)


class FindForm(forms.Form):
    """Whatever was pasted into the one box."""

    q = forms.CharField(max_length=LONGEST_SEARCH, required=False)


class NoteForm(forms.Form):
    """A note on a trade, or on one item of it."""

    text = forms.CharField(
        max_length=LONGEST_NOTE,
        label=gettext_lazy("Note"),
        widget=forms.Textarea(attrs={"rows": 2, "class": "textarea"}),
    )
    item = forms.IntegerField(min_value=1, required=False, label=gettext_lazy("About"))


class ReplayForm(forms.Form):
    """Exactly the deliveries that were shown and counted, by our own numbers."""

    deliveries = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        # Which of them exist is for the view to find; here they only have to be numbers.
        sent = data.getlist("deliveries")
        numbers = [text for text in sent if text.isascii() and text.isdigit() and len(text) < 19]
        self.fields["deliveries"].choices = [(text, text) for text in numbers]  # type: ignore[attr-defined] # a choice field


class SaveViewForm(forms.Form):
    """The filters of a list, and a name for them."""

    saved_list = forms.ChoiceField(choices=SavedList.choices)
    name = forms.CharField(max_length=60, error_messages={"required": gettext_lazy("Give the view a name.")})
    query = forms.CharField(max_length=1_000, required=False)
    is_shared = forms.BooleanField(required=False)


class InviteForm(forms.Form):
    """Who is to work here, and as what."""

    email = forms.EmailField(
        max_length=254,
        label=gettext_lazy("E-mail"),
        widget=forms.EmailInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    role = forms.ChoiceField(choices=Role.choices, label=gettext_lazy("Role"), initial=Role.AGENT)


class RoleForm(forms.Form):
    """The role that somebody is to have from now on."""

    role = forms.ChoiceField(choices=Role.choices, label=gettext_lazy("Role"))


class LanguageForm(forms.Form):
    """What somebody reads in; both may be left to their browser."""

    language = forms.ChoiceField(required=False, label=gettext_lazy("Language"))
    time_zone = forms.CharField(
        max_length=64,
        required=False,
        label=gettext_lazy("Time zone"),
        help_text=gettext_lazy("Such as Europe/Lisbon. Empty is the zone of your browser, and UTC without scripts."),
        widget=forms.TextInput(attrs={"list": "zones", "autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        languages = [("", gettext("As my browser asks for")), *settings.LANGUAGES]
        self.fields["language"].choices = languages  # type: ignore[attr-defined] # a choice field

    def clean_time_zone(self) -> str:
        """A zone that there is, or none."""
        name: str = self.cleaned_data["time_zone"]
        if name and name not in available_timezones():
            raise forms.ValidationError(gettext("There is no such time zone. Write it like Europe/Lisbon."))
        return name
