"""What identity refuses, each with a stable code."""

from __future__ import annotations

from brain_kit.problems import Conflict, InvalidInput, NotFound, RateLimited, Unauthenticated


class OrganisationExists(Conflict):
    """The unified social credit code is registered."""

    code = "organisation_exists"


class OrganisationUnknown(NotFound):
    """No organisation that the caller may know of."""

    code = "organisation_unknown"


class OrganisationInvalid(InvalidInput):
    """A field of the organisation is wrong."""

    code = "organisation_invalid"


class KeyUnknown(NotFound):
    """No key that the caller may know of."""

    code = "key_not_found"


class TooManyKeys(Conflict):
    """Two keys of one name work already: the second is for rotation."""

    code = "too_many_keys"


class KeyNotActive(Conflict):
    """The key was revoked or has expired: it has no successor."""

    code = "key_not_active"


class ExpiryInvalid(InvalidInput):
    """The key would have expired already."""

    code = "expiry_invalid"


class UserUnknown(NotFound):
    """No user that the caller may know of."""

    code = "user_unknown"


class RolesInvalid(InvalidInput):
    """Roles that this kind of organisation cannot have, or that the caller may not give."""

    code = "roles_invalid"


class UserExists(Conflict):
    """The login name is taken."""

    code = "user_exists"


class PasswordWeak(InvalidInput):
    """The password does not follow the policy."""

    code = "password_weak"


class SignInRefused(Unauthenticated):
    """Wrong name or password; which of the two is not told."""

    code = "sign_in_refused"


class SignInLocked(RateLimited):
    """Too many wrong passwords."""

    code = "sign_in_locked"


class RefreshRefused(Unauthenticated):
    """The refresh token is spent, revoked or unknown."""

    code = "refresh_refused"


class ApiKeyUnknown(Unauthenticated):
    """No such key, or a wrong secret."""

    code = "key_unknown"


class ApiKeyExpired(Unauthenticated):
    """The key's time is over."""

    code = "key_expired"


class ApiKeyRevoked(Unauthenticated):
    """The key was revoked."""

    code = "key_revoked"


class OrganisationSuspended(Unauthenticated):
    """The organisation is suspended."""

    code = "organisation_suspended"


class ServiceSecretWrong(Unauthenticated):
    """The service secret does not match."""

    code = "service_secret_wrong"
