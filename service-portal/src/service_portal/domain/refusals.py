"""What the gateway itself refuses, each with a stable code."""

from __future__ import annotations

from brain_kit.problems import BadRequest, NotFound, Problem, RateLimited, TimedOut, TooLarge, Unavailable


class PathAmbiguous(BadRequest):
    """The path could be read in two ways."""

    code = "path_ambiguous"


class MethodRefused(Problem):
    """The method is not one that an API uses."""

    status, code, title = 405, "method_not_allowed", "Method not allowed"


class ServiceUnknown(NotFound):
    """No such service or path."""

    code = "service_unknown"


class BodyTooLarge(TooLarge):
    """The body is over the limit of the route."""

    code = "body_too_large"


class LengthInvalid(BadRequest):
    """Content-Length is not a number."""

    code = "content_length_invalid"


class TooFast(RateLimited):
    """The plan's rate is used up."""

    code = "rate_limited"


class QuotaUsedUp(RateLimited):
    """The plan's monthly quota is used up."""

    code = "quota_used_up"


class UpstreamDown(Unavailable):
    """A service does not answer."""

    code = "upstream_unavailable"


class UpstreamSlow(TimedOut):
    """A service did not answer in time."""

    code = "upstream_timed_out"


class UpstreamBroken(Problem):
    """A service answered something that is no HTTP answer, or stopped in its middle."""

    status, code, title = 502, "upstream_broken", "Bad gateway"
