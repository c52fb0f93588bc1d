"""What lenders and borrowers may be told."""

from __future__ import annotations

from brain_kit.problems import Conflict, InvalidInput, NotFound, NotPermitted


class LoanUnknown(NotFound):
    """No loan of that name."""

    code = "loan_unknown"


class LoanExists(Conflict):
    """There is a loan of that name."""

    code = "loan_exists"


class LoanInvalid(InvalidInput):
    """What is said of the loan does not fit together; `errors` names each field."""

    code = "loan_invalid"


class BorrowerHasQuota(Conflict):
    """The borrower has a quota of its own, which a loan would replace."""

    code = "borrower_has_quota"


class LoanNotOpen(Conflict):
    """Nothing is lent now; the words say why and since when."""

    code = "loan_not_open"


class LendingLoop(Conflict):
    """The job comes from this brain, or has been lent before."""

    code = "lending_loop"


class NotYourLoan(NotPermitted):
    """The key belongs to no loan, or to another."""

    code = "not_your_loan"


class LentJobUnknown(NotFound):
    """The loan has no job of that attempt."""

    code = "lent_job_unknown"
