//! Decisions about what subjects may see and do in a company. To request decisions about other users, a caller must
//! meet [`Requirement::CheckOthers`].

use std::collections::BTreeSet;

use iam_domain::{Caller, CompanyId, UserId};
use iam_permissions_cache::{Access, Consistency, LoadAllowance, Navigation, Subject};

use crate::{Application, Budgets, Exhausted, Failure, FieldCode, FieldError, Requirement};

/// The caller of a decision request, the company, and the required consistency.
#[derive(Debug, Clone, Copy)]
pub struct DecisionContext {
    /// The caller.
    pub caller: Caller,
    /// The company to which the decisions apply.
    pub company: CompanyId,
    /// The required consistency of the permissions that the decisions are based on.
    pub consistency: Consistency,
}

/// The subject that a decision request specifies: a user id, or a validation error if the request specifies no valid
/// user. `None` means that the subject is the caller.
pub type NamedSubject = Option<Result<UserId, FieldError>>;

impl DecisionContext {
    /// Checks that a service specifies the subject explicitly. The default subject is the caller, but a service holds
    /// no levels.
    fn check_subject(&self, named: &NamedSubject) -> Result<(), Failure> {
        match (named, self.caller) {
            (None, Caller::Service(_)) => Err(Failure::Invalid(vec![FieldError::new(
                "userId",
                FieldCode::Required,
                "is required if the caller is a service",
            )])),
            _ => Ok(()),
        }
    }

    /// Returns the specified subject, or `None` if the subject is the caller. A service can specify itself by the id of
    /// its API key.
    fn other<'a>(&self, named: &'a NamedSubject) -> Option<Result<UserId, &'a FieldError>> {
        let caller = self.caller.actor().id();
        let named = named.as_ref().map(|user| user.as_ref().copied());
        named.filter(|user| user.map(|user| Some(user.as_uuid())) != Ok(caller))
    }
}

impl Application {
    /// Returns the access of the caller: the caller's resolved permissions in the company.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Unavailable`] if the storage cannot be read, the read times out, or the required consistency
    /// cannot be met.
    #[inline]
    pub async fn own_access(&self, context: &DecisionContext) -> Result<Access, Failure> {
        self.access(context, Subject::from(context.caller)).await
    }

    /// Returns the access (the resolved permissions) that a user's levels grant. This method does not check
    /// permissions, so the caller must already have been authorized.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::own_access`].
    pub async fn access_of_user(&self, context: &DecisionContext, user: UserId) -> Result<Access, Failure> {
        self.access(context, Subject::User(user)).await
    }

    /// Returns the access (the resolved permissions) of the subject of a decision request. If the subject is another
    /// user, the caller must meet [`Requirement::CheckOthers`]. This requirement is checked before `named`, so that
    /// callers who do not meet it cannot determine whether `named` is valid.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Forbidden`] if the caller may not request decisions about other users. Returns
    /// [`Failure::Invalid`] if `named` is a validation error, or if the caller is a service and `named` is `None`. Also
    /// returns the errors of [`Self::own_access`].
    #[inline]
    pub async fn access_of_subject(&self, context: &DecisionContext, named: &NamedSubject) -> Result<Access, Failure> {
        context.check_subject(named)?;
        let subject = match context.other(named) {
            None => Subject::from(context.caller),
            Some(other) => {
                self.authorize_decisions_about_others(context).await?;
                Subject::User(other.map_err(|finding| Failure::Invalid(vec![finding.clone()]))?)
            }
        };
        self.access(context, subject).await
    }

    /// Returns the resolved permissions of the subjects of several decision requests, all resolved from one consistent
    /// snapshot. If the caller does not meet [`Requirement::CheckOthers`], [`SubjectAccesses::of`] returns
    /// `Forbidden` for requests about other users.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::own_access`].
    pub async fn accesses_of_subjects<'a>(
        &self,
        context: DecisionContext,
        named: impl Iterator<Item = &'a NamedSubject> + Clone,
    ) -> Result<SubjectAccesses, Failure> {
        let others = || named.clone().filter_map(|named| context.other(named));
        let may_ask = match others().next() {
            None => Ok(()),
            Some(_) => self.authorize_decisions_about_others(&context).await,
        };
        let unmet = match may_ask {
            Ok(()) => None,
            Err(Failure::Forbidden(requirement)) => Some(requirement),
            Err(failure) => return Err(failure),
        };
        let mut subjects: BTreeSet<_> = match unmet {
            None => others().flatten().map(Subject::User).collect(),
            Some(_) => BTreeSet::new(),
        };
        if named.clone().any(|named| context.other(named).is_none()) {
            subjects.insert(Subject::from(context.caller));
        }
        let subjects: Vec<_> = subjects.into_iter().collect();
        let DecisionContext { caller, company, consistency } = context;
        let mut meter = LoadMeter::new(&self.budgets, caller);
        let accesses = self.permissions.accesses(company, &subjects, consistency, &mut meter.allowance).await;
        let accesses = meter.outcome(accesses)?;
        Ok(SubjectAccesses { context, accesses, unmet })
    }

    /// Returns the menu items that the subject may see, with the resolved permissions from which they were computed.
    /// These permissions are newer than `access` if the company or the catalog has changed since `access` was resolved.
    ///
    /// # Errors
    ///
    /// Returns the same errors as [`Self::own_access`].
    pub async fn navigation(&self, company: CompanyId, access: Access) -> Result<(Access, Navigation), Failure> {
        Ok(self.permissions.navigation(company, access).await?)
    }

    #[inline]
    async fn access(&self, context: &DecisionContext, subject: Subject) -> Result<Access, Failure> {
        let DecisionContext { caller, company, consistency } = *context;
        self.access_of(caller, company, subject, consistency).await
    }

    /// Returns the access of a subject. Loads that it requires are charged to the caller.
    #[inline]
    pub(crate) async fn access_of(
        &self,
        caller: Caller,
        company: CompanyId,
        subject: Subject,
        consistency: Consistency,
    ) -> Result<Access, Failure> {
        if let Some(access) = self.permissions.try_access(company, subject, consistency) {
            return Ok(access);
        }
        let mut meter = LoadMeter::new(&self.budgets, caller);
        let access = self.permissions.access_within(company, subject, consistency, &mut meter.allowance).await;
        let is_own = subject == Subject::from(caller) && consistency == Consistency::Cached;
        if is_own && access.as_ref().is_ok_and(Access::is_member) {
            // Each change to a company invalidates the permissions of its members. Members must not pay for that.
            meter.allowance.loads = 0;
        }
        meter.outcome(access)
    }

    async fn authorize_decisions_about_others(&self, context: &DecisionContext) -> Result<(), Failure> {
        let DecisionContext { caller, company, consistency } = *context;
        self.authorize(caller, Some(company), Requirement::CheckOthers, consistency).await
    }
}

/// Allows loads as long as the caller's budget of loads is not exhausted. When it is dropped, it charges the loads to the
/// caller, even if the request was cancelled.
struct LoadMeter<'a> {
    budgets: &'a Budgets,
    caller: Caller,
    exhausted: Option<Exhausted>,
    allowance: LoadAllowance,
}

impl<'a> LoadMeter<'a> {
    fn new(budgets: &'a Budgets, caller: Caller) -> Self {
        let exhausted = budgets.may_load(caller).err();
        let allowance = LoadAllowance { is_exhausted: exhausted.is_some(), ..LoadAllowance::default() };
        Self { budgets, caller, exhausted, allowance }
    }

    /// Returns the outcome of the request, or the exhausted budget if the request required a load.
    fn outcome<T>(&self, outcome: iam_storage::Result<T>) -> Result<T, Failure> {
        match self.exhausted {
            Some(exhausted) if self.allowance.is_refused => Err(exhausted.counted().into()),
            _ => Ok(outcome?),
        }
    }
}

impl Drop for LoadMeter<'_> {
    fn drop(&mut self) {
        self.budgets.charge_loads(self.caller, self.allowance.loads);
    }
}

/// The resolved permissions of the subjects of several decision requests.
#[derive(Debug)]
pub struct SubjectAccesses {
    context: DecisionContext,
    /// The resolved permissions of each subject, in ascending order of subject.
    accesses: Vec<Access>,
    /// The requirement that the caller does not meet. `None` if the caller may request decisions about other users.
    unmet: Option<Requirement>,
}

impl SubjectAccesses {
    /// Returns the resolved permissions of all subjects, in ascending order of subject.
    #[must_use]
    pub fn all(&self) -> &[Access] {
        &self.accesses
    }

    /// Returns the resolved permissions of the subject that `named` specifies.
    ///
    /// # Errors
    ///
    /// Returns [`Failure::Forbidden`] if the caller may not request decisions about other users. Returns
    /// [`Failure::Invalid`] if `named` is a validation error, or if the caller is a service and `named` is `None`.
    /// Returns [`Failure::Internal`] if `named` was not passed to [`Application::accesses_of_subjects`].
    pub fn of(&self, named: &NamedSubject) -> Result<&Access, Failure> {
        self.context.check_subject(named)?;
        let subject = match (self.context.other(named), self.unmet) {
            (None, _) => Subject::from(self.context.caller),
            (Some(_), Some(requirement)) => return Err(Failure::Forbidden(requirement)),
            (Some(other), None) => Subject::User(other.map_err(|finding| Failure::Invalid(vec![finding.clone()]))?),
        };
        let place = self.accesses.binary_search_by_key(&subject, Access::subject);
        place
            .ok()
            .and_then(|place| self.accesses.get(place))
            .ok_or_else(|| Failure::Internal("the subject was not resolved".into()))
    }
}
