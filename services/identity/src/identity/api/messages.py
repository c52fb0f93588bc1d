"""Messages of identity's API: what comes in, strictly; what goes out, with examples."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from brain_contracts.codes import make_uscc
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

OrgKind = Literal["operator", "department", "enterprise", "provider"]
EXAMPLE_USCC = make_uscc("370303", 1)
EXAMPLE_TIME = "2026-11-21T06:30:00.000Z"
# No control characters: they would hide in lists and logs.
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
ShortText = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
Uscc = Annotated[str, Field(max_length=40, description="统一社会信用代码 GB 32100", examples=[EXAMPLE_USCC])]
Region = Annotated[str, Field(max_length=20, description="行政区划代码 GB/T 2260", examples=["370303"])]
Password = Annotated[str, Field(max_length=1000, json_schema_extra={"format": "password"})]
Roles = Annotated[list[str], Field(min_length=1, max_length=10, examples=[["manager"]])]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class NewOrganisation(_Body):
    """An organisation to be registered."""

    uscc: Uscc
    name: Text = Field(examples=["示例机床有限公司"])
    kind: OrgKind = Field(examples=["enterprise"])
    region: Region
    roles: Roles | None = Field(None, description="What its keys and people get when none are named")
    synthetic: bool = Field(False, description="合成数据: shown as such wherever it appears")


class OrganisationChange(_Body):
    """Fields of an organisation to be changed; a suspended one's keys and people are refused."""

    name: Text | None = None
    region: Region | None = None
    state: Literal["active", "suspended"] | None = None


class NewKey(_Body):
    """A key to be made."""

    org: Uscc
    name: ShortText = Field(examples=["ERP"])
    roles: Roles | None = None
    expires_at: AwareDatetime | None = Field(None, examples=["2027-11-21T00:00:00Z"])


class NewUser(_Body):
    """A user to be made."""

    org: Uscc
    login: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{2,59}$", examples=["zhang.wei"])
    name: ShortText = Field(examples=["张伟"])
    password: Password
    roles: Roles | None = None


class UserChange(_Body):
    """A user's new state or password; every sign-in of the user ends."""

    state: Literal["active", "disabled"] | None = None
    password: Password | None = None


class SignIn(_Body):
    """Name and password."""

    user: str = Field(max_length=60, pattern=r"^[^\x00-\x1f\x7f]*$", examples=["operator"])
    password: Password


class Refresh(_Body):
    """A refresh token."""

    refresh_token: str = Field(max_length=200)


class PasswordChange(_Body):
    """The old and the new password."""

    old_password: Password
    new_password: Password


class Organisation(BaseModel):
    """An organisation."""

    uscc: str = Field(examples=[EXAMPLE_USCC])
    name: str = Field(examples=["示例机床有限公司"])
    kind: OrgKind
    region: str = Field(examples=["370303"])
    plan: str = Field(description="Plan of the gateway; empty: the default plan")
    state: Literal["active", "suspended"]
    synthetic: bool
    roles: list[str] = Field(examples=[["manager"]])
    created_at: str = Field(examples=[EXAMPLE_TIME])


class Key(BaseModel):
    """A key without its secret."""

    id: str = Field(examples=["CWyAtTFxH6t9"])
    org: str = Field(examples=[EXAMPLE_USCC])
    name: str = Field(examples=["ERP"])
    roles: list[str] = Field(examples=[["manager"]])
    state: Literal["active", "revoked", "expired"]
    created_at: str = Field(examples=[EXAMPLE_TIME])
    expires_at: str | None = None
    revoked_at: str | None = None
    last_used_at: str | None = Field(None, description="To the minute")


class MadeKey(BaseModel):
    """A new key; `key` is shown only in this answer."""

    id: str = Field(examples=["CWyAtTFxH6t9"])
    key: str = Field(description="Shown once", examples=["bk_CWyAtTFxH6t9_" + "x" * 43])
    org: str = Field(examples=[EXAMPLE_USCC])
    name: str = Field(examples=["ERP"])
    roles: list[str] = Field(examples=[["manager"]])
    state: Literal["active"]
    created_at: str = Field(examples=[EXAMPLE_TIME])
    expires_at: str | None


class RotatedKey(MadeKey):
    """The successor of a key, and when the old one ends."""

    previous: str = Field(examples=["2kqQcxSz1saO"])
    previous_expires_at: str = Field(examples=["2026-11-28T06:30:00.000Z"])


class User(BaseModel):
    """A user."""

    id: str = Field(examples=["usr_01JD0Z8G7R8W2V5N4K9T3XQ6AB"])
    org: str = Field(examples=[EXAMPLE_USCC])
    login: str = Field(examples=["zhang.wei"])
    name: str = Field(examples=["张伟"])
    roles: list[str] = Field(examples=[["manager"]])
    state: Literal["active", "disabled"]
    created_at: str = Field(examples=[EXAMPLE_TIME])


class Me(BaseModel):
    """Who the caller is."""

    sub: str = Field(description="Id of the user, key or service")
    kind: Literal["user", "key", "service"]
    org: str = Field(examples=[EXAMPLE_USCC])
    org_kind: OrgKind
    org_name: str
    roles: list[str]
    name: str
    region: str
    plan: str


class Session(BaseModel):
    """Tokens of a sign-in; the refresh token works once."""

    access_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds", examples=[300])
    refresh_token: str
    principal: Me


class AuditRecord(BaseModel):
    """Who did what, with its place in the hash chain."""

    seq: int
    event_id: str
    at: str = Field(examples=[EXAMPLE_TIME])
    subject: str
    kind: str
    org: str
    name: str
    action: str = Field(examples=["key.add"])
    object: str
    outcome: Literal["ok", "refused", "failed"]
    detail: dict[str, Any]
    previous_hash: str
    hash: str


class ChainState(BaseModel):
    """Whether the audit trail is whole. Keep `head` elsewhere: it proves later that nothing before it was changed."""

    ok: bool
    records: int
    first_broken: int | None = Field(description="Sequence number of the first record that does not fit")
    head: str = Field(description="Hash of the last record")


class OrganisationPage(BaseModel):
    """A page of organisations."""

    items: list[Organisation]
    next: str | None


class KeyPage(BaseModel):
    """A page of keys."""

    items: list[Key]
    next: str | None


class UserPage(BaseModel):
    """A page of users."""

    items: list[User]
    next: str | None


class AuditPage(BaseModel):
    """A page of the audit trail, newest first."""

    items: list[AuditRecord]
    next: str | None
