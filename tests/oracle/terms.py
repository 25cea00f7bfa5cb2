"""Agreements to judge generated histories by: a fixed pool, so that their calendars are worked out once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

OPEN: Final[Mapping[str, Any]] = {
    "amsterdam": {"zone": "Europe/Amsterdam", "hours": {"mon-fri": "09:00-17:30"}, "closed": ["2026-10-16"]},
    "new_york": {
        "zone": "America/New_York",
        "hours": {"mon-fri": "09:00-12:00, 13:00-17:00", "sat": "10:00-14:00"},
        "holidays": {"country": "US"},
    },
    "nights": {"zone": "Europe/Amsterdam", "hours": {"mon-sun": "00:00-04:00, 22:00-24:00"}},
}

_QUICK: Final[Mapping[str, Any]] = {
    "assignment": {"targets": "5 min"},
    "acceptance": {"targets": "30 min"},
    "first_response": {"targets": {"hot": "5 min", "warm": "1 h", "cold": "4 h"}},
    "owner_response": {"targets": {"hot": "5 min", "warm": "30 min", "cold": "4 h"}},
    "cadence": {"targets": "8 h", "attempts": 3},
    "qualification": {"targets": {"hot": "1 h", "warm": "8 h"}},
    "next_response": {"targets": "15 min"},
    "stage_age": {"targets": {"inquiry": "4 h", "mql": "1 h", "sal": "8 h", "opportunity": "2 d", "nurture": "1 d",
                              "recycled": "2 h", "won": "1 d", "lost": "8 h"}},
    "inactivity": {"targets": {"sal": "1 h", "sql": "2 h", "opportunity": "8 h"}},
    "wake": {"targets": "1 h"},
    "mend": {"targets": "2 h"},
    "erasure": {"targets": "1 d"},
}  # fmt: skip
_AS_AGREED: Final[Mapping[str, Any]] = {
    "assignment": {"targets": "5 min", "calendar": "24x7"},
    "acceptance": {"targets": "1 bd"},
    "first_response": {
        "targets": {"hot": "5 min", "warm": "1 bd", "cold": "3 bd"},
        "teams": {"overseas": {"targets": {"hot": "15 min", "warm": "2 h"}}},
        "sources": {"event": {"targets": {"hot": "1 h", "warm": "2 bd"}, "calendar": "nights"}},
    },
    "owner_response": {"targets": {"hot": "5 min", "warm": "1 bd", "cold": "3 bd"}},
    "cadence": {"targets": "3 bd", "attempts": 6},
    "qualification": {"targets": {"hot": "1 bd", "warm": "3 bd"}},
    "next_response": {"targets": "1 bd"},
    "stage_age": {"targets": {"inquiry": "5 d", "mql": "2 bd", "sal": "3 bd", "sql": "3 bd", "opportunity": "6 d"}},
    "inactivity": {"targets": {"sal": "2 bd", "sql": "2 bd", "opportunity": "5 d"}},
    "wake": {"targets": "1 bd"},
    "mend": {"targets": "2 bd"},
    "erasure": {"targets": "5 d", "calendar": "24x7"},
}
_PATIENT: Final[Mapping[str, Any]] = {
    "assignment": {"targets": {"hot": "30 min", "warm": "1 d"}},
    "acceptance": {"targets": {"hot": "2 h", "warm": "1 d", "cold": "2 d"}, "calendar": "24x7"},
    "first_response": {"targets": "1 d", "teams": {"north": {"calendar": "24x7"}}},
    "owner_response": {"targets": {"warm": "8 h", "cold": "1 d"}},
    "cadence": {"targets": {"hot": "1 d", "warm": "2 d", "cold": "4 d"}, "attempts": 2},
    "qualification": {"targets": {"hot": "1 d", "warm": "2 d", "cold": "3 d"}, "calendar": "24x7"},
    "next_response": {"targets": {"hot": "2 h", "warm": "1 d"}},
    "stage_age": {"targets": {"inquiry": "2 d", "mql": "1 d", "sal": "2 d", "nurture": "3 d", "disqualified": "1 d"}},
    "inactivity": {"targets": {"sal": "1 d", "opportunity": "3 d"}, "teams": {"overseas": {"calendar": "nights"}}},
    "wake": {"targets": {"hot": "2 h", "warm": "1 d"}},
    "mend": {"targets": {"hot": "8 h", "warm": "1 d", "cold": "2 d"}},
    "erasure": {"targets": "2 d"},
}


def _agreement(version: str, since: str, policies: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "version": version,
        "effective_from": since,
        "qualified": {"id": version, "any_of": [{"hand_raise": True}]},
        "calendars": OPEN,
        "default_calendar": "amsterdam",
        "teams": {"north": {"calendar": "amsterdam"}, "overseas": {"calendar": "new_york"}},
        "policies": policies,
        "ladder": [50, 75, 100, 200, 300],
        "pause": {"reasons": ["customer_request", "holiday"], "cap": "1 bd"},
        "cooldowns": {"no_budget": "2 d", "competitor": "5 years", "bad_timing": "8 h"},
        "currency": {"base": "EUR"},
        **more,
    }


_BEFORE: Final = "2026-01-01T00:00:00+01:00"
_SHORT_CAP: Final = {"reasons": ["holiday", "legal"], "cap": "4 h"}
_NO_CALENDARS: Final[Mapping[str, Any]] = {"north": {}, "overseas": {}}
_LONG_CAP: Final = {"reasons": ["customer_request", "holiday", "legal"]}

QUICK: Final = _agreement("quick", _BEFORE, _QUICK, default_calendar="24x7")
QUICK_OFFICE: Final = _agreement("quick-office", _BEFORE, _QUICK, pause=_SHORT_CAP)
AGREED: Final = _agreement("agreed", _BEFORE, _AS_AGREED)
PATIENT: Final = _agreement("patient", _BEFORE, _PATIENT, default_calendar="new_york", pause=_LONG_CAP)
NIGHTS: Final = _agreement(
    "nights", _BEFORE, _PATIENT, default_calendar="nights", teams=_NO_CALENDARS, pause=_SHORT_CAP
)
# The first version holds before its own time too.
LATE_ONLY: Final = _agreement("late-only", "2026-10-15T12:00:00+02:00", _AS_AGREED, default_calendar="new_york")
NEXT_QUICK: Final = _agreement("next-quick", "2026-10-14T09:00:00+02:00", _QUICK, pause=_SHORT_CAP, cooldowns={})
NEXT_AGREED: Final = _agreement(
    "next-agreed", "2026-10-14T00:00:00+00:00", _AS_AGREED, default_calendar="24x7",
    cooldowns={"no_budget": "5 d", "no_need": "1 h"}, teams={"north": {"calendar": "nights"}, "overseas": {}},
)  # fmt: skip
NEXT_PATIENT: Final = _agreement("next-patient", "2026-10-17T12:00:00+02:00", _PATIENT, pause=_LONG_CAP)

AGREEMENTS: Final[tuple[tuple[Mapping[str, Any], ...], ...]] = (
    (QUICK,), (QUICK, NEXT_AGREED), (QUICK, NEXT_PATIENT),
    (QUICK_OFFICE,), (QUICK_OFFICE, NEXT_PATIENT),
    (AGREED,), (AGREED, NEXT_QUICK), (AGREED, NEXT_PATIENT),
    (PATIENT,), (PATIENT, NEXT_QUICK), (PATIENT, NEXT_AGREED),
    (NIGHTS,), (NIGHTS, NEXT_QUICK), (LATE_ONLY,), (NEXT_QUICK, NEXT_PATIENT),
)  # fmt: skip
"""What a history is judged by: one version, or two."""
