"""The sales-marketing agreement: what was promised. One YAML text is one immutable version.

This cut knows the first_response policy, the 24x7 calendar and the recycle cool-downs. May not import I/O: callers read
the file and hand over its text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from processors.vocabulary import DAY, END_REASONS, GRADES

__all__ = ["DEFAULT", "Agreement", "AgreementError", "Policy"]

_UNITS: Final = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": DAY, "bd": DAY, "months": 30 * DAY}
"""Milliseconds of open time. On 24x7 a business day (bd) is 24 h; a month is 30 days."""
_DURATION: Final = re.compile(r"\s*(\d+(?:\.\d+)?)\s*(ms|s|min|h|d|bd|months)\s*")


class AgreementError(ValueError):
    """The text is no valid agreement; the message names the place and what would be right."""


def _duration(value: object) -> object:
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return round(float(match[1]) * _UNITS[match[2]])
    raise ValueError(f"expected an amount and a unit, such as 5 min, 4 h, 1 bd or 90 d; got {value!r}")


Duration = Annotated[int, BeforeValidator(_duration), Field(gt=0)]
"""Milliseconds of open time; written as 5 min, 4 h, 1 bd, 90 d."""


def _instant(value: object) -> object:
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("expected a time with an offset, such as 2026-01-01T00:00:00Z")
        return round(value.astimezone(UTC).timestamp() * 1000)
    raise ValueError(f"expected a time such as 2026-01-01T00:00:00Z; got {value!r}")


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Policy(_Model):
    """One promise: how long it may take, by grade. A grade without a target starts no clock."""

    targets: dict[Literal["hot", "warm", "cold"], Duration] = Field(min_length=1)
    calendar: Literal["24x7"] = "24x7"

    @model_validator(mode="before")
    @classmethod
    def _one_target_for_all(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and isinstance(data.get("targets"), str):
            return {**data, "targets": dict.fromkeys(GRADES, data["targets"])}
        return data


class Policies(_Model):
    first_response: Policy


class Agreement(_Model):
    """One version. `effective_from` in UTC milliseconds."""

    version: str = Field(min_length=1, max_length=64)
    effective_from: Annotated[int, BeforeValidator(_instant)]
    policies: Policies
    cooldowns: dict[str, Duration] = Field(default_factory=dict)
    """Recycle reason -> how long a LeadQualified is refused afterwards. A reason not listed has none."""

    @model_validator(mode="after")
    def _known_reasons(self) -> Agreement:
        for reason in self.cooldowns:
            if reason not in END_REASONS:
                raise ValueError(f"cooldowns.{reason}: not a recycle reason; one of {', '.join(sorted(END_REASONS))}")
        return self

    @staticmethod
    def parse(text: str) -> Agreement:
        """The version that the YAML text states. Raises AgreementError."""
        try:
            data = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise AgreementError(f"not valid YAML: {' '.join(str(error).split())}") from None
        if not isinstance(data, dict):
            raise AgreementError("expected a mapping with version, effective_from and policies")
        try:
            return Agreement.model_validate(data)
        except ValidationError as error:
            problems = (
                f"{'.'.join(str(part) for part in p['loc']) or 'agreement'}: {p['msg']}" for p in error.errors()
            )
            raise AgreementError("; ".join(problems)) from None


DEFAULT: Final = Agreement.parse(
    """
version: default-1
effective_from: 1970-01-01T00:00:00Z
policies:
  first_response:
    targets: {hot: 5 min, warm: 1 bd, cold: 3 bd}
    calendar: 24x7
cooldowns:
  no_budget: 90 d
  competitor: 1825 d
"""
)
"""What holds where no agreement was given."""
