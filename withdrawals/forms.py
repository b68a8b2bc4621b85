"""Checks of what a person typed. Nothing is saved here."""

from typing import Any

from django import forms

from withdrawals.models import Role

REASONS = (
    "Customer asked",
    "Delivery takes too long",
    "Wrong item",
    "Trade link problem",
    "Suspected fraud",
)
OTHER = "Other"
GREATEST_NUMBER = 2**31 - 1


class CancelForm(forms.Form):
    """Why an item is cancelled. The list is short; any other words of up to 200 characters do as well."""

    reason = forms.CharField(
        max_length=200, widget=forms.Select(choices=[(reason, reason) for reason in (*REASONS, OTHER)])
    )
    note = forms.CharField(
        max_length=2_000, required=False, widget=forms.Textarea(attrs={"rows": 2}), help_text="Staff only."
    )
    number = forms.IntegerField(min_value=1, max_value=GREATEST_NUMBER, required=False, widget=forms.HiddenInput)

    def clean(self) -> dict[str, Any] | None:
        """ "Other" says nothing by itself, so it needs a note."""
        cleaned = super().clean()
        if self.cleaned_data.get("reason") == OTHER and not self.cleaned_data.get("note"):
            self.add_error("note", "“Other” needs a note: what is the reason?")
        return cleaned


class ConfirmRefundForm(forms.Form):
    """The proof that the customer got the money, and what the person saw when deciding."""

    reference = forms.CharField(
        max_length=200,
        help_text="The payout's id in your payment system, so that an auditor can find it.",
        widget=forms.TextInput(attrs={"autocomplete": "off"}),
    )
    seen = forms.CharField(max_length=64, widget=forms.HiddenInput)


class SearchForm(forms.Form):
    """What every list takes: a text to search for, and the place in the list."""

    q = forms.CharField(max_length=200, required=False)
    cursor = forms.CharField(max_length=60, required=False)


class ReplayForm(forms.Form):
    """Exactly the deliveries that were shown and counted, by our own numbers."""

    deliveries = forms.TypedMultipleChoiceField(coerce=int)

    def __init__(self, data: Any) -> None:
        super().__init__(data)
        # Which of them exist is for the view to find; here they only have to be numbers.
        sent = data.getlist("deliveries")
        numbers = [text for text in sent if text.isascii() and text.isdigit() and len(text) < 19]
        self.fields["deliveries"].choices = [(text, text) for text in numbers]  # type: ignore[attr-defined] # a choice field


class InviteForm(forms.Form):
    """Who is to work here, and as what."""

    email = forms.EmailField(
        max_length=254, label="E-mail", widget=forms.EmailInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )
    role = forms.ChoiceField(choices=Role.choices, initial=Role.AGENT)


class RoleForm(forms.Form):
    """The role that somebody is to have from now on."""

    role = forms.ChoiceField(choices=Role.choices)
