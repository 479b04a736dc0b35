//! The user that a text of a form identifies: an id, `issuer|subject`, or the name or the e-mail address of a member.

use iam_application::{ListMembers, Member, MemberOrder, PageRequest, Requirement, SearchText};
use iam_domain::{ExternalId, Name, UserId, folded};
use maud::{Markup, html};

use super::person::person;
use crate::authorized::{Authorized, Policy};
use crate::error::PageError;

/// Maximum number of users from which a person can choose.
const CHOICES: u64 = 20;
/// Maximum length of a text in characters.
const MAX_TEXT: usize = 255;

/// A user, with the text that forms show for the user.
#[derive(Debug)]
pub(crate) struct Identified {
    pub(crate) user: UserId,
    /// The display name of a member, if the person may see it.
    pub(crate) name: Option<Name>,
    /// A text that identifies the user again: the name if no other member has it, or what was typed.
    pub(crate) text: String,
}

/// The reason why a text identifies no user.
#[derive(Debug)]
pub(crate) enum NotIdentified {
    /// The text matches no user.
    Problem(String),
    /// The text matches several members. The list is limited.
    Several(Vec<Member>),
}

impl NotIdentified {
    /// Returns the message as a sentence without its full stop.
    pub(crate) fn message(&self) -> String {
        match self {
            Self::Problem(problem) => problem.clone(),
            Self::Several(_) => "Several users match. Choose one of them".to_owned(),
        }
    }

    /// Returns the message, with the users from which the person can choose. `path` returns the address for a user.
    pub(crate) fn show(&self, path: impl Fn(UserId) -> String) -> Markup {
        html! {
            div.notice.error role="alert" {
                p { bdi { (self.message()) } "." }
                @if let Self::Several(members) = self {
                    ul {
                        @for member in members {
                            li {
                                a href=(path(member.user)) { (person(member.display_name.as_ref(), member.user)) }
                                @if let Some(email) = &member.email { " " bdi.muted { (email) } }
                                " " small.mono.muted { (member.user) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Returns what identifies a user in forms. `searches` is `true` for people who may search for members.
pub(crate) const fn identifiers(searches: bool) -> &'static str {
    if searches { "name, e-mail address or id" } else { "id or issuer|subject" }
}

/// Returns the user that a text identifies. The names and e-mail addresses of members identify users to people who may search
/// for them.
pub(crate) async fn identify<P: Policy>(
    page: &Authorized<P>,
    text: &str,
) -> Result<Result<Identified, NotIdentified>, PageError> {
    let text = text.trim();
    let searches = page.meets(Requirement::ReadIam).await?;
    match page.user_named(text) {
        Ok(user) if searches => {
            let member = members(page, SearchText::User(user.id)).await?.pop();
            Ok(Ok(identified(page, user.id, member, text).await?))
        }
        Ok(user) => Ok(Ok(Identified { user: user.id, name: None, text: text.to_owned() })),
        Err(error) if !searches || ExternalId::may_be(text) => {
            Ok(Err(NotIdentified::Problem(format!("The user {error}"))))
        }
        Err(_) if text.chars().count() > MAX_TEXT || text.contains('\0') => {
            let problem = format!("The user must have at most {MAX_TEXT} visible characters");
            Ok(Err(NotIdentified::Problem(problem)))
        }
        Err(_) => {
            let mut found = members(page, SearchText::Text(text.to_owned())).await?;
            if found.iter().filter(|member| is_called(member, text)).count() == 1 {
                found.retain(|member| is_called(member, text));
            }
            match (found.pop(), found.is_empty()) {
                (Some(member), true) => Ok(Ok(identified(page, member.user, Some(member), text).await?)),
                (Some(member), false) => {
                    found.push(member);
                    Ok(Err(NotIdentified::Several(found)))
                }
                (None, _) => {
                    let problem =
                        format!("No user of the company matches “{text}”: type a name, an e-mail address or an id");
                    Ok(Err(NotIdentified::Problem(problem)))
                }
            }
        }
    }
}

/// Returns the user with the text that identifies the user again.
async fn identified<P: Policy>(
    page: &Authorized<P>,
    user: UserId,
    member: Option<Member>,
    typed: &str,
) -> Result<Identified, PageError> {
    let name = member.and_then(|member| member.display_name);
    let text = match &name {
        Some(name) if is_unique(page, name).await? => name.to_string(),
        _ => typed.to_owned(),
    };
    Ok(Identified { user, name, text })
}

/// Returns `true` if exactly one member has the name.
async fn is_unique<P: Policy>(page: &Authorized<P>, name: &Name) -> Result<bool, PageError> {
    let found = members(page, SearchText::Text(name.to_string())).await?;
    Ok(found.iter().filter(|member| is_called(member, name.as_str())).count() == 1)
}

/// Returns `true` if the text is the whole name or e-mail address of the member.
fn is_called(member: &Member, text: &str) -> bool {
    let texts = [member.display_name.as_ref().map(Name::as_str), member.email.as_ref().map(|email| email.as_str())];
    texts.into_iter().flatten().any(|own| folded(own) == folded(text))
}

async fn members<P: Policy>(page: &Authorized<P>, search: SearchText) -> Result<Vec<Member>, PageError> {
    let request = ListMembers {
        company: page.company,
        level: None,
        search: Some(search),
        order: MemberOrder::Name,
        page: PageRequest { limit: CHOICES, cursor: None, include_total: false },
    };
    Ok(page.application().list_members(page.caller(), "console identify", &request).await?.elements)
}
